"""中文对话：智能体调用工具，并记得前面说过的话。

    python examples/chinese.py [模型]

模型写作 `provider:model`（例如 `qwen:qwen-plus`）、`local` 或 `auto`（默认）。
"""

import asyncio
import sys

from lumosai import Agent, Message, tool


@tool(name="weather", description="查询一个城市今天的天气")
def 天气(城市: str) -> str:
    """查询天气。

    Args:
        城市: 城市名，例如“上海”。
    """
    return f"{城市}今天晴，21 度"


async def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "auto"
    agent = Agent("助手", instructions="请用中文简短回答。", model=model, tools=[天气])
    history: list[Message] = []
    for question in ("我叫Alice", "上海今天天气怎么样？", "我叫什么名字？"):
        print(f"我：{question}")
        history.append(Message.user(question))
        result = await agent.generate(history)
        print(f"助手：{result.text}")
        history.extend(result.messages)


asyncio.run(main())
