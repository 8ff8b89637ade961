"""The campus: admits what boxes deliver into a ledger, once; readers, API and screens live on that."""
