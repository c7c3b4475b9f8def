"""What torch says when it refuses: the one place for the words by which gradflow knows a message.

They may raise a question, and decide nothing. Nothing here needs torch.
"""
