"""What is written: tables in all formats, documents; each whole or not at all."""
