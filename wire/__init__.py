"""The contract and the vocabulary shared by box and campus. Imports nothing of ours."""
