"""Files that hold a model, weights or tensors, one kind in each module. A file is data: nothing in it runs."""
