"""What a page shows of one method on one dataset, beside its numbers: each module gives typed values, which the template draws.

`pooled` pools runs over seeds; from it follow `classes` (the worst ones, with images that `pictures` finds), `confusion` and
`reliability`. `curves` come from the logs of the trainings.
"""
