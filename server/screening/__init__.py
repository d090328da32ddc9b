"""Content checks: what members write and show, held back from others until WeChat or a person has let it pass.

Invariants: a text WeChat holds for risky is never taken in; what WeChat could not judge is taken in, held back and never lost; each
check ends once, by compare-and-set on its state, whoever comes first; a picture or text that was refused is shown to nobody but those
who decide; WeChat's answer about a picture counts however early, late or often it comes.
"""
