"""What each of torch's operations does: ONE table, in plain text, and the questions that the other parts ask of it.

``rows/`` has the table, ``vocabulary.py`` what each of its words means, ``spelling.py`` which names mean one operation,
``queries.py`` and ``families.py`` the questions. Nothing in here reaches torch; the tests hold every row against it.
"""
