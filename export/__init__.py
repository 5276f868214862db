"""Checkpoints -> model folders that the SDK runs.

Needs the extra: ``pip install 'affectkit[export]'``. The SDK never imports it.
"""
