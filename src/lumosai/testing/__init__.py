"""Tests without a provider: a model that answers by script and can fail where a test wants it to."""

from lumosai.testing.answers import Answer, AnswerLike, Call, call
from lumosai.testing.scripted import Script, ScriptedModel

__all__ = ["Answer", "AnswerLike", "Call", "Script", "ScriptedModel", "call"]
