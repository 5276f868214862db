"""What is written: tables in all formats, documents, annotated videos, contact sheets; each whole or not at all."""
