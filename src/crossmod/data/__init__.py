"""What training sees: data contract, slice datasets, splits."""
