"""How well and how fast memory finds: `python -m benchmarks.recall`.

The material is written by hand: exchanges with questions about one of their messages, put in other words. A file whose
name begins with `tune` was looked at when the ranking was made, one that begins with `heldout` was not. Of a line:

    * …   said by the user, and what the block's questions are about     U: …   said by the user
    A: …  said by the assistant                                          Q: …   a question about the message before it,
                                                                                where the block has no *
"""
