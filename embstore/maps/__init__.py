"""What is looked at: pictures and pages, made from plain values."""
