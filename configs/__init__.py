"""Recipes as YAML, `<data>/<method>.yaml`; read with `compress.storage.settings_files.load_config`."""
