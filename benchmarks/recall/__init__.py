"""How well and how fast memory finds: `python -m benchmarks.recall`.

The material is written by hand: exchanges with questions about one of their messages, put in other words; in those that
begin with `rare` the questions repeat a name, a number or a code. Full text and its terms were made with `tune`, not with
`heldout`; how words and meaning are joined was chosen over all, by leaving out one conversation at a time. Of a line:

    * …   said by the user, and what the block's questions are about     U: …   said by the user
    A: …  said by the assistant                                          Q: …   a question about the message before it,
                                                                                where the block has no *
"""
