"""What `musedance` can do, one file a command: its help, its options, and what it runs.

Nothing heavy is imported before a command runs.
"""
