"""The yaml files of the project, importable as `musedance.configs` (the folder lies at the top of the repository)."""
