"""Action units against an exact truth: rendered heads of the renderer's test part (benchmarks/au_truth.py).

cast (who) -> shots, talking, files (what is shown) -> photograph (pictures, kept) -> ask (answers, kept) -> scores,
measures (numbers) -> report, figures; real (pictures of people).
"""
