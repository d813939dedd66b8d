"""Surnames whose reading differs from the character's usual one, and the surnames of two characters."""

from __future__ import annotations

from collections.abc import Mapping

Reading = tuple[str, ...]

_ONE = """
单 shan|解 xie|仇 qiu|区 ou|任 ren|曾 zeng|查 zha|翟 zhai di|盖 ge gai|朴 piao|乐 yue le|缪 miao|员 yun|华 hua
覃 qin tan|繁 po|冼 xian|谌 chen shen|牟 mu mou|燕 yan|撒 sa|折 she|那 na|宓 mi|逄 pang|宿 su|祭 zhai|纪 ji
黑 he|秘 bi|种 chong|重 chong|逯 lu|郗 xi chi|隗 wei kui|郇 xun huan|柏 bai bo|都 du|尹 yin|葛 ge|尉 wei
石 shi|沈 shen|召 shao|洗 xian|过 guo|车 che|佘 she|幺 yao|贾 jia|宁 ning|卜 bu|行 xing|降 xiang|叶 ye
句 gou|哈 ha|占 zhan|应 ying|令 ling|尧 yao|晟 cheng|殷 yin|長 chang|长 chang|卡 qia|车 che|褚 chu|臧 zang
"""
_TWO = """
欧阳 ou yang|司马 si ma|上官 shang guan|诸葛 zhu ge|皇甫 huang fu|令狐 ling hu|司徒 si tu|尉迟 yu chi
长孙 zhang sun|澹台 tan tai|万俟 mo qi|慕容 mu rong|公孙 gong sun|宇文 yu wen|东方 dong fang|独孤 du gu
南宫 nan gong|夏侯 xia hou|轩辕 xuan yuan|端木 duan mu|闻人 wen ren|申屠 shen tu|太史 tai shi|公冶 gong ye
濮阳 pu yang|淳于 chun yu|单于 chan yu|钟离 zhong li|呼延 hu yan|鲜于 xian yu|西门 xi men|百里 bai li
"""


def _rows(table: str) -> list[list[str]]:
    return [row.split() for row in table.replace("\n", "|").split("|") if row]


SURNAMES: Mapping[str, tuple[Reading, ...]] = {
    **{surname: tuple((sound,) for sound in sounds) for surname, *sounds in _rows(_ONE)},
    **{surname: (tuple(sounds),) for surname, *sounds in _rows(_TWO)},
}
"""Surname → its readings, the most usual first."""
