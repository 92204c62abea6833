"""What `musedance infer` does: jobs -> videos, each with its record and, if wanted, a contact sheet."""
