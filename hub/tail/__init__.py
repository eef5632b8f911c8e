"""`python -m hub tail`: channels watched from a terminal, over the public protocol like any other client."""
