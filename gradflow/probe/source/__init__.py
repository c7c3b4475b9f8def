"""What a model's own code hands on to other functions, and where what they give back is kept."""
