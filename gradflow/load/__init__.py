"""From what a user names to a :class:`~gradflow.load.workload.Workload`.

``load_workload(request)`` and ``workload_from_objects(model, inputs)`` are in :mod:`gradflow.load.loading`, which
imports torch; :class:`~gradflow.load.request.Request` does not.
"""

from __future__ import annotations
