"""What is learned from embeddings and texts: heads, scores, comparison, fine-tuning.

Takes arrays, never a store. Import the module that is needed: each pays for its own libraries alone.
"""
