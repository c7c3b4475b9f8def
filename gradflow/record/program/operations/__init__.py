"""What a program's operations are looked at for, besides being recorded."""
