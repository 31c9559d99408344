"""The pipeline trace: one document, computed from the record, rendered many ways."""
