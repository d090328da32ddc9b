"""The adapter over wechatpy 1.8.18, one module for each group of calls, over the one ``client``."""
