"""A fact in working memory, put right by a real model on this machine through its tool: the history shows both.

    python scripts/correct_fact.py [--repeat N] [--seed S] [--model NAME_OR_PATH] [--threads N] [--verbose]

A person of whom two facts are known says of one of them that it is otherwise, in English or in Chinese; facts, names and
words are drawn at random. It holds where the model changed that fact and no other, and `history` shows what it was and
what it is, by whose run. Between them the person talks of other things, and nothing may change. At the end a new thread
is asked for the fact.

Ends with 0 where at least 80 of 100 corrections held and as many remarks changed nothing, 1 where fewer did, 3 where the
weights cannot be fetched or the runtime is not installed.
"""

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time

from lumosai import Agent, Memory, ModelSettings
from lumosai.errors import LumosaiError, MissingExtraError, WeightsError
from lumosai.memory import WorkingMemory
from lumosai.models import LocalModel, weights

ENOUGH = 0.8
NAMES = ("Alice", "Bernd", "Chiara", "Dmitri", "Eleni", "Farid", "Greta", "Hiroshi", "Ines", "Jamal")
CITIES = ("Basel", "Lyon", "Porto", "Cork", "Turin", "Ghent", "Malmö", "Graz", "Leeds", "Bilbao")
JOBS = ("nurse", "carpenter", "translator", "baker", "pilot", "gardener", "plumber", "librarian")
DRINKS = ("tea", "coffee", "cocoa", "mineral water", "apple juice", "lemonade")
PETS = ("a cat", "a dog", "a parrot", "a rabbit", "a tortoise", "two goldfish")
ZH_NAMES = ("李明", "王芳", "张伟", "刘洋", "陈静", "赵磊", "周敏", "孙浩")
ZH_CITIES = ("成都", "青岛", "西安", "昆明", "厦门", "大连", "苏州", "长沙")
ZH_JOBS = ("护士", "木匠", "翻译", "面包师", "飞行员", "园丁", "会计", "图书管理员")
ZH_DRINKS = ("绿茶", "咖啡", "豆浆", "柠檬水", "苹果汁", "可可")
ZH_PETS = ("一只猫", "一条狗", "一只鹦鹉", "一只兔子", "一只乌龟")
ENGLISH = {
    "name": (NAMES, ("My name is {new}, not {old}.", "You have my name wrong: I am called {new}."), "What is my name?"),
    "city": (
        CITIES,
        ("I do not live in {old} any more, I moved to {new}.", "I live in {new} now."),
        "Where do I live?",
    ),
    "job": (JOBS, ("I am not a {old}, I work as a {new}.", "I changed my job: I am a {new} now."), "What is my job?"),
    "favourite_drink": (
        DRINKS,
        ("I do not like {old} any more. My favourite drink is {new} now.", "Correction: my favourite drink is {new}."),
        "What is my favourite drink?",
    ),
    "pet": (
        PETS,
        ("My pet is not {old}, it is {new}.", "My pet is {new}, please correct that."),
        "What pet do I have?",
    ),
}
CHINESE = {
    "name": (ZH_NAMES, ("我不叫{old}，我叫{new}。", "你把我的名字记错了，我叫{new}。"), "我叫什么名字？"),
    "city": (ZH_CITIES, ("我不住在{old}了，我搬到了{new}。", "我现在住在{new}。"), "我住在哪里？"),
    "job": (ZH_JOBS, ("我不是{old}，我是{new}。", "我换工作了，现在是{new}。"), "我的职业是什么？"),
    "favourite_drink": (
        ZH_DRINKS,
        ("我不再喜欢{old}了，现在最喜欢喝{new}。", "更正一下：我最喜欢的饮料是{new}。"),
        "我最喜欢喝什么？",
    ),
    "pet": (ZH_PETS, ("我的宠物不是{old}，是{new}。", "我的宠物是{new}，请改过来。"), "我养了什么宠物？"),
}
REMARKS = (
    "What is the capital of France?",
    "Thank you, that was helpful.",
    "Tell me something about the moon.",
    "How do I boil an egg?",
    "谢谢你的帮助。",
    "法国的首都是哪里？",
    "怎么煮鸡蛋？",
    "给我讲讲月亮吧。",
)


def drawn(chance):
    """A person's two facts, the one that changes, what it becomes, what is said, and how it is asked for."""
    table = chance.choice([ENGLISH, CHINESE])
    path, other = chance.sample(sorted(table), 2)
    values, ways, question = table[path]
    old, new = chance.sample(values, 2)
    facts = {path: old, other: chance.choice(table[other][0])}
    facts = dict(sorted(facts.items(), key=lambda _: chance.random()))
    return facts, path, new, chance.choice(ways).format(old=old, new=new), question


async def corrected(model, memory, number, case, say):
    """Whether a correction held, why not else; and whether the answer in a new thread told it."""
    facts, path, new, said, question = case
    person = f"person-{number}"
    working = memory.working(resource_id=person)
    await working.patch([{"op": "set", "path": name, "value": value} for name, value in facts.items()])
    result = await agent_of(model, memory).generate(said, thread_id=f"{person}-a", resource_id=person)
    now, history = await working.get(), await working.history()
    say(f"  {facts}  “{said}”  →  {[c.arguments for c in result.tool_calls]}  {now}  {result.text!r}")
    others = {k: v for k, v in facts.items() if k != path}
    last = history[-1]
    if last.origin.by != "model" or set(last.changed) != {path}:
        return f"{said!r}: changed {[c.changed for c in history[1:]]}, of {facts}", False
    sides = last.changed[path]
    if sides.get("before") != facts[path] or bare(new) not in str(sides.get("after")).lower():
        return f"{said!r}: the history has {sides}", False
    if bare(facts[path]) in str(sides["after"]).lower() or not others.items() <= now.items():
        return f"{said!r}: it is {now}, of {facts}", False
    asked = await agent_of(model, memory).generate(question, thread_id=f"{person}-b", resource_id=person)
    say(f"      {question}  →  {asked.text!r}")
    return None, bare(new) in asked.text.lower()


def bare(text):
    """A value without its article or measure word, to be looked for."""
    return re.sub("^(a |一[只条])", "", text.lower())


async def unmoved(model, memory, number, remark, facts):
    """Whether a remark about something else changed nothing; why not else."""
    person = f"other-{number}"
    working = memory.working(resource_id=person)
    await working.patch([{"op": "set", "path": name, "value": value} for name, value in facts.items()])
    await agent_of(model, memory).generate(remark, thread_id=person, resource_id=person)
    changes = [c.changed for c in (await working.history())[1:]]
    return f"{remark!r}: changed {changes}" if changes else None


def agent_of(model, memory):
    """The agent that is asked."""
    return Agent(
        "assistant",
        instructions="You are a helpful assistant.",
        model=model,
        memory=memory,
        settings=ModelSettings(max_output_tokens=120, temperature=0.0),
    )


async def main(options):
    """All corrections and remarks; the exit code."""
    model = LocalModel(options.model, threads=options.threads)
    if not model.path.exists():
        weights.pull(model.name, lambda _done, _total, _what: None)
    await model.load()
    chance, begun = random.Random(options.seed), time.monotonic()
    say = print if options.verbose else lambda _line: None
    held = kept = told = 0
    with tempfile.TemporaryDirectory() as folder:
        async with Memory(f"sqlite:///{folder}/facts.db", working=WorkingMemory("resource")) as memory:
            for number in range(options.repeat):
                case = drawn(chance)
                remark = chance.choice(REMARKS)
                problems = []
                for work in (
                    corrected(model, memory, number, case, say),
                    unmoved(model, memory, number, remark, case[0]),
                ):
                    try:
                        problems.append(await work)
                    except LumosaiError as error:
                        problems.append(f"{type(error).__name__}: {error}")
                first = problems[0] if isinstance(problems[0], tuple) else (problems[0], False)
                held, told, kept = held + (first[0] is None), told + first[1], kept + (problems[1] is None)
                for problem in filter(None, (first[0], problems[1])):
                    print(f"✗ {problem}")
    each = (time.monotonic() - begun) / options.repeat
    print(
        f"{held} of {options.repeat} corrections held, {kept} of {options.repeat} remarks changed nothing; "
        f"{told} told in a new thread ({each:.1f} s each)"
    )
    return int(min(held, kept) < ENOUGH * options.repeat)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=10, help="corrections, and as many remarks")
    parser.add_argument("--seed", type=int, default=1, help="draws other facts")
    parser.add_argument("--model", default="default", help="weights by name, or a GGUF file's path")
    parser.add_argument("--threads", type=int, default=None, help="processors to compute with")
    parser.add_argument("--verbose", action="store_true", help="every answer")
    try:
        sys.exit(asyncio.run(main(parser.parse_args())))
    except (WeightsError, MissingExtraError) as error:
        print(f"correct_fact: no model can be asked: {error}", file=sys.stderr)
        sys.exit(3)
