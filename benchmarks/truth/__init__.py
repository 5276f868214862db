"""Action units against an exact truth: rendered heads of the renderer's test part (benchmarks/au_truth.py).

cast (who) -> shots (what is shown) -> photograph (pictures, cached) -> ask (predictions, cached) -> scores, measures
(numbers) -> report (Markdown, figures); real (pictures of people).
"""
