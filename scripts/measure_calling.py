"""How often a local model does what is asked: the figures of `docs/local-models.md`.

    python scripts/measure_calling.py [--model NAME_OR_PATH] [--temperature T] [--verbose]

Seventy requests in English and Chinese with many tools, none of which runs: is the right tool called with the right
arguments, and does the model reply where no tool is meant? Then a tool's result is handed back: does the answer tell it,
in the asker's language? The wording of constrained calling was chosen by the first 50; the others were kept aside, and
written after it was chosen.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter

from lumosai.messages import Message, ToolCallPart, ToolResultPart
from lumosai.models import LocalModel
from lumosai.models.base import ModelRequest, TextChunk, ToolCallChunk, UsageChunk
from lumosai.models.calling import prepare
from lumosai.records import ModelSettings, ToolDefinition
from lumosai.tools.execute import read_arguments
from lumosai.tools.toolkits.calculator import evaluate


def tool(name, description, required=None, /, **properties):
    """A definition; every property is required unless `required` says otherwise."""
    needed = list(properties) if required is None else required
    schema = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
    return ToolDefinition(name, description, schema)


def text(description):
    return {"type": "string", "description": description}


def whole(description):
    return {"type": "integer", "description": description}


CALCULATOR = tool("calculator", "Evaluate arithmetic exactly.", expression=text('such as "17 * 23" or "15% of 80"'))
WEATHER = tool(
    "get_weather",
    "Current weather of a city.",
    ["city"],
    city=text("the city's name"),
    unit={"enum": ["celsius", "fahrenheit"]},
)
NOTE = tool("add_note", "Save a note for the user.", text=text("what to write down"))
DICE = tool("roll_dice", "Roll dice and give the sum.", count=whole("how many dice"), sides=whole("sides of each die"))
CLOCK = tool("current_time", "The time now in a time zone.", timezone=text('IANA name, such as "Europe/Paris"'))
TRANSLATE = tool("translate", "Translate a text.", text=text("the text"), to=text('language, such as "French"'))
MAIL = tool("send_email", "Send an e-mail.", to=text("address"), subject=text("subject line"), body=text("the text"))
CONVERT = tool(
    "convert_units", "Convert a quantity between units.", value={"type": "number"}, source=text('unit, such as "km"'),
    target=text("unit"),
)  # fmt: skip
REMIND = tool("set_reminder", "Remind the user later.", minutes=whole("from now"), about=text("what about"))
SHARES = tool("stock_price", "Latest price of a share.", symbol=text('ticker, such as "MSFT"'))
LAMP = tool("set_light", "Switch a lamp.", room=text("which room"), on={"type": "boolean"})
ADD = tool("add", "Add two numbers.", a={"type": "number"}, b={"type": "number"})
MANY = [CALCULATOR, WEATHER, NOTE, DICE, CLOCK]


def value(expected):
    """A check of the calculator's expression."""

    def check(a):
        try:
            return float(evaluate(a["expression"])) == expected
        except Exception:  # whatever a model's expression makes of itself, it is wrong
            return False

    return check


def talk(*turns):
    """A conversation: the user begins, the assistant answers, and so on."""
    return [Message.user(t) if i % 2 == 0 else Message.assistant(t) for i, t in enumerate(turns)]


# What is said, the tools, the tool that should be called ("" for none), and a check of its arguments or of the reply.
SEEN = [
    ("What is 17 * 23?", [CALCULATOR], "calculator", value(391)),
    ("How much is 4821 plus 977?", [CALCULATOR], "calculator", value(5798)),
    ("12345 除以 15 是多少？", [CALCULATOR], "calculator", value(823)),
    ("请计算 (48+52)*7", MANY, "calculator", value(700)),
    ("I bought 3 books at 12.50 each. What do I pay in total?", [CALCULATOR], "calculator", value(37.5)),
    ("What is 2 to the power of 20?", [CALCULATOR], "calculator", value(2**20)),
    ("Please multiply 68 by 94.", MANY, "calculator", value(6392)),
    ("What is the weather in Berlin?", [WEATHER], "get_weather", lambda a: "erlin" in a["city"]),
    ("北京今天天气怎么样？", [WEATHER, CALCULATOR], "get_weather", lambda a: a["city"] in ("北京", "Beijing")),
    (
        "Is it warm in Cairo right now? I want Fahrenheit.",
        MANY,
        "get_weather",
        lambda a: "airo" in a["city"] and a.get("unit") == "fahrenheit",
    ),
    ("Note that I must call Bob tomorrow.", [NOTE, CALCULATOR], "add_note", lambda a: "Bob" in a["text"]),
    ("记一下：明天买牛奶。", MANY, "add_note", lambda a: "牛奶" in a["text"]),
    ("Roll three six-sided dice for me.", MANY, "roll_dice", lambda a: (a["count"], a["sides"]) == (3, 6)),
    ("What time is it in Tokyo?", MANY, "current_time", lambda a: "Tokyo" in a["timezone"]),
    (talk("What is 5 * 8?", "5 * 8 is 40.", "And what is 77 * 31?"), [CALCULATOR], "calculator", value(2387)),
    ("Hello!", [CALCULATOR], "", None),
    ("你好，你是谁？", [CALCULATOR], "", None),
    ("What is the capital of France?", [CALCULATOR, NOTE], "", lambda r: "Paris" in r),
    ("My name is Alice.", [CALCULATOR], "", None),
    ("我叫小明。", [CALCULATOR, WEATHER], "", None),
    ("Thanks, that's all.", MANY, "", None),
    ("Tell me a short joke.", MANY, "", None),
    (
        talk("My name is Bob and I like chess.", "Nice to meet you, Bob!", "What is my name?"),
        [CALCULATOR],
        "",
        lambda r: "Bob" in r,
    ),
    (talk("我叫Alice", "你好，Alice！", "我叫什么名字？"), [CALCULATOR], "", lambda r: "Alice" in r),
    ("法国的首都是哪里？", MANY, "", lambda r: "巴黎" in r),
]
SEEN += [
    ("What is 96 times 14?", [CALCULATOR], "calculator", value(1344)),
    ("Compute 1000 - 367 please", [CALCULATOR, REMIND], "calculator", value(633)),
    ("333 加 444 等于几？", [CALCULATOR], "calculator", value(777)),
    ("A train goes 80 km in one hour. How far does it go in 7 hours?", [CALCULATOR], "calculator", value(560)),
    (talk("Hi", "Hello! How can I help you?", "What is 450 / 18?"), [CALCULATOR], "calculator", value(25)),
    ("Add 19 and 23.5", [ADD], "add", lambda a: {a["a"], a["b"]} == {19, 23.5}),
    (
        "Translate 'good morning' into Spanish.",
        [TRANSLATE, MAIL],
        "translate",
        lambda a: "panish" in a["to"] and "morning" in a["text"],
    ),
    (
        "Send an email to ann@example.com with the subject Lunch saying that I am late.",
        [TRANSLATE, MAIL, CALCULATOR],
        "send_email",
        lambda a: a["to"] == "ann@example.com" and "unch" in a["subject"],
    ),
    ("How many miles are 10 km?", [CONVERT, REMIND], "convert_units", lambda a: a["value"] == 10),
    (
        "Remind me in 20 minutes to take the cake out of the oven.",
        [CONVERT, REMIND, CALCULATOR],
        "set_reminder",
        lambda a: a["minutes"] == 20,
    ),
    ("20分钟后提醒我喝水。", [CONVERT, REMIND, CALCULATOR], "set_reminder", lambda a: a["minutes"] == 20),
    ("What is the share price of AAPL?", [SHARES, LAMP], "stock_price", lambda a: "AAPL" in a["symbol"]),
    (
        "Turn off the light in the kitchen.",
        [SHARES, LAMP],
        "set_light",
        lambda a: a["on"] is False and "itchen" in a["room"],
    ),
    ("打开卧室的灯。", [SHARES, LAMP, CALCULATOR], "set_light", lambda a: a["on"] is True),
    ("Good evening!", [CALCULATOR], "", None),
    ("How are you today?", [SHARES, LAMP], "", None),
    ("Who painted the Mona Lisa?", [CALCULATOR, TRANSLATE], "", lambda r: "Leonardo" in r or "Vinci" in r),
    ("I am Maria and I live in Rome.", [CALCULATOR], "", None),
    ("What can you do?", [CALCULATOR], "", None),
    ("我喜欢下棋。", [CALCULATOR], "", None),
    ("谢谢你！", [REMIND, CONVERT], "", None),
    (
        talk("I am Maria and I live in Rome.", "Nice to meet you, Maria!", "Where do I live?"),
        [CALCULATOR],
        "",
        lambda r: "Rome" in r,
    ),
    (
        talk("你好，我叫王芳。", "你好，王芳！很高兴认识你。", "你还记得我的名字吗？"),
        [CALCULATOR],
        "",
        lambda r: "王芳" in r,
    ),
    ("Write one sentence about the sea.", [LAMP, SHARES], "", None),
    ("Why is the sky blue?", [CALCULATOR], "", None),
]
TRACK = tool("track_parcel", "Find out where a parcel is.", number=text("the parcel's number"))
TIMER = tool("start_timer", "Start a timer.", seconds=whole("how long"))
BOOKS = tool(
    "find_books", "Find books in the library.", ["author"], author=text("who wrote it"), year=whole("of printing")
)
DOOR = tool("lock_door", "Lock or unlock a door.", door=text("which door"), locked={"type": "boolean"})
PRICE = tool("product_price", "Price of a product in our shop.", product=text("the product's name"))
KEPT_ASIDE = [
    ("What's 58 plus 67?", [CALCULATOR, TIMER], "calculator", value(125)),
    ("Can you work out 144 divided by 12 for me?", [CALCULATOR], "calculator", value(12)),
    ("88 乘以 7 等于多少？", [CALCULATOR, DOOR], "calculator", value(616)),
    ("I have 250 euros and spend 75. How much is left?", [CALCULATOR, PRICE], "calculator", value(175)),
    ("Where is parcel 5512?", [TRACK, CALCULATOR], "track_parcel", lambda a: "5512" in a["number"]),
    ("Start a timer for 90 seconds.", [TIMER, TRACK], "start_timer", lambda a: a["seconds"] == 90),
    ("Which books by Jane Austen do you have?", [BOOKS, PRICE], "find_books", lambda a: "Austen" in a["author"]),
    (
        "Please lock the front door.",
        [DOOR, LAMP, TIMER],
        "lock_door",
        lambda a: "front" in a["door"].lower() and a["locked"] is True,
    ),
    (
        "How much does the red umbrella cost?",
        [PRICE, BOOKS, CALCULATOR],
        "product_price",
        lambda a: "umb" in a["product"],
    ),
    ("图书馆里有鲁迅的书吗？", [BOOKS, CALCULATOR], "find_books", lambda a: a["author"] in ("鲁迅", "Lu Xun")),
    ("包裹 7788 到哪里了？", [TRACK, PRICE], "track_parcel", lambda a: "7788" in a["number"]),
    (talk("Hello", "Hello!", "Set a timer for 30 seconds."), [TIMER], "start_timer", lambda a: a["seconds"] == 30),
    ("Hey, nice to meet you.", [TRACK, CALCULATOR], "", None),
    ("早上好！", [CALCULATOR, DOOR], "", None),
    ("My favourite fruit is mango.", [PRICE], "", None),
    ("Which planet is the largest?", [CALCULATOR, TIMER], "", lambda r: "Jupiter" in r),
    ("Say goodbye in French.", [TIMER, DOOR], "", None),
    ("I feel tired today.", [LAMP, TIMER], "", None),
    (
        talk("I work as a baker.", "That is a fine trade!", "What is my job?"),
        [CALCULATOR],
        "",
        lambda r: "baker" in r.lower(),
    ),
    (talk("我住在成都。", "成都是个好地方！", "我住在哪里？"), [PRICE], "", lambda r: "成都" in r),
]
# What is said, the tool, its arguments, its result, and what the answer must hold one of.
RESULTS = [
    ("What is 17 * 23?", CALCULATOR, {"expression": "17 * 23"}, "391", ["391"]),
    ("How much is 4821 plus 977?", CALCULATOR, {"expression": "4821 + 977"}, "5798", ["5798"]),
    ("12345 除以 15 是多少？", CALCULATOR, {"expression": "12345 / 15"}, "823", ["823"]),
    (
        "I bought 3 books at 12.50 each. What do I pay in total?",
        CALCULATOR,
        {"expression": "3 * 12.50"},
        "37.5",
        ["37.5"],
    ),
    ("What is 2 to the power of 20?", CALCULATOR, {"expression": "2 ** 20"}, "1048576", ["1048576"]),
    ("What is the weather in Berlin?", WEATHER, {"city": "Berlin"}, '{"temperature": 7, "sky": "light rain"}', ["7"]),
    ("北京今天天气怎么样？", WEATHER, {"city": "北京"}, "晴，22 度", ["22"]),
    ("Note that I must call Bob tomorrow.", NOTE, {"text": "Call Bob tomorrow"}, "saved as note 12", ["note", "aved"]),
    ("Roll three six-sided dice for me.", DICE, {"count": 3, "sides": 6}, "14", ["14"]),
    ("What time is it in Tokyo?", CLOCK, {"timezone": "Asia/Tokyo"}, "2026-03-05T21:40:00+09:00", ["21:40", "9:40"]),
    ("What is the share price of AAPL?", SHARES, {"symbol": "AAPL"}, "212.48 USD", ["212.48"]),
    ("How many miles are 10 km?", CONVERT, {"value": 10, "source": "km", "target": "mile"}, "6.2137", ["6.2"]),
    ("20分钟后提醒我喝水。", REMIND, {"minutes": 20, "about": "喝水"}, "好的，已设置", ["好", "设置", "提醒"]),
]


async def main():
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="weights by name, or a GGUF file's path")
    parser.add_argument("--temperature", type=float, default=None, help="else the model's own default")
    parser.add_argument("--verbose", action="store_true", help="every answer, not only the wrong ones")
    options = parser.parse_args()
    local = LocalModel(options.model)
    model, settings = prepare(local), ModelSettings(temperature=options.temperature, max_output_tokens=160)
    begun = time.monotonic()
    await local.load()
    print(f"{local.name}: loaded in {time.monotonic() - begun:.1f} s")
    good, all_, tokens = Counter(), Counter(), Counter()
    begun = time.monotonic()
    for group, cases in (("seen", SEEN), ("kept aside", KEPT_ASIDE)):
        for said, tools, wanted, check in cases:
            kind = f"{'calls' if wanted else 'replies'}, {group}"
            answer = await ask(model, settings, talk(said) if isinstance(said, str) else said, tools, tokens)
            right = judge(answer, wanted, check)
            count(good, all_, kind, right, options, said, answer)
    for said, used, arguments, result, wanted in RESULTS:
        messages = [
            Message.user(said),
            Message("assistant", (ToolCallPart("1", used.name, arguments),)),
            Message("tool", (ToolResultPart("1", used.name, result),)),
        ]
        answer = await ask(model, settings, messages, [used], tokens)
        language = not chinese(said) or chinese(answer[1]) or answer[1].strip("。. ").isdigit()
        right = not answer[0] and any(w in answer[1].replace(",", "") for w in wanted) and language
        count(good, all_, "answers after a result", right, options, said, answer)
    seconds = time.monotonic() - begun
    for kind, number in all_.items():
        print(f"{kind:24} {good[kind]} of {number}")
    print(
        f"{seconds:.0f} s; {tokens['read']} tokens read, {tokens['cached']} of them cached; {tokens['written']} written"
    )
    local.unload()


async def ask(model, settings, messages, tools, tokens):
    """(the tool called or "", the reply or the raw arguments)."""
    request = ModelRequest(
        messages=(Message.system("You are a helpful assistant."), *messages),
        tools=tuple(tools),
        settings=settings,
        tool_mode="auto",
    )
    name, said = "", ""
    async for chunk in model.stream(request):
        if isinstance(chunk, ToolCallChunk):
            name, said = name or chunk.name, said + chunk.delta
        elif isinstance(chunk, TextChunk):
            said += chunk.delta
        elif isinstance(chunk, UsageChunk):
            usage = chunk.usage
    tokens.update(read=usage.input_tokens, cached=usage.cache_read_tokens, written=usage.output_tokens)
    return name, said


def judge(answer, wanted, check):
    """Whether the tool, its arguments or the reply are what was wanted."""
    name, said = answer
    if name != wanted:
        return False
    if not wanted:
        return bool(said.strip()) and (check is None or check(said))
    arguments = read_arguments(said)
    return arguments is not None and bool(check(arguments))


def count(good, all_, kind, right, options, said, answer):
    """Adds one up, and shows it where it is wrong."""
    all_[kind] += 1
    good[kind] += right
    if not right or options.verbose:
        shown = said if isinstance(said, str) else said[-1].text
        print(f"  {'+' if right else '-'} {shown} → {answer[0]} {answer[1]!r}", flush=True)


def chinese(said):
    """Whether a text is in Chinese."""
    return any("\u4e00" <= c <= "\u9fff" for c in said)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
