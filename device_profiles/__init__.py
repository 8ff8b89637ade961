"""Devices as data: profiles in YAML, their typed model, the catalogue. Imports only wire."""
