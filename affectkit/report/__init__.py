"""Reports of tables: one HTML file that needs no network."""
