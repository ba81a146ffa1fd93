"""Recipes as YAML, `<data>/<method>.yaml`; read with `compress.configuration.load_config`."""
