"""What every callback stands on: its hooks, the module and the numbers that it sees, its pace, its files.

May import: nothing else of `callbacks`.
"""
