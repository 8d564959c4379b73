/** The lesson of the room, step by step: each sets the room up for what it tells. */

import { language } from "../../base/text.js";
import { WHOLE } from "../../parts/map-panel.js";
import { USUAL } from "./choices.js";

/** @typedef {Partial<import("./choices.js").Choices>} Changes */

/** What each step sets and points at. @type {readonly {target: string, set: Changes}[]} */
const STEPS = [
  { target: "#stage-image", set: {} },
  { target: "#stage-filter", set: { at: { stage: "strongest" } } },
  { target: "#stage-detect", set: {} },
  { target: "#stage-condense", set: { at: { stage: "strongest" } } },
  { target: "#numbers", set: { pool_size: 4 } },
  { target: "#step-filter", set: { bias: -0.5 } },
  { target: "#step-condense", set: { pool: "average", pool_size: 4 } },
  { target: "#step-condense", set: { pool_size: 4, pool_stride: 2 } },
  { target: "#kernel", set: { kernel: "top_sobel" } },
];

const EN = [
  ["A picture is a table of numbers",
    "Each pixel is a number from 0 (black) to 1 (white); in a colour picture there are three of them, for red, green and blue. A convnet looks for features in these numbers: an edge, a corner, a texture.\n\nIt does so in three steps, from left to right: filter, detect, condense."],
  ["Filter: ask one question everywhere",
    "The kernel is a small table of weights. It is laid over every patch of the picture, weights and pixels are multiplied, and the products are added up. This one asks: is the middle brighter than what is around it?\n\nRed patches answer yes, blue ones the opposite. On the card below you see the sum for one place, number by number."],
  ["Detect: keep the yes",
    "ReLU turns every number below 0 into 0 and leaves the others alone. What is left says where the feature is, and how strongly.\n\nThe bar below the map tells how much of it is now exactly 0. Such pixels are dead space: they take part in everything that follows and say nothing."],
  ["Condense: keep the strongest",
    "A window of 2 × 2 pixels goes over the map, and only the largest number of each window stays. The map shrinks to half its height and width, and the feature is still there.\n\nThe marks show one window, its winner, and the part of the picture that this one number has seen."],
  ["Features become denser",
    "With larger windows more dead space goes, and what is active stays. Compare the two bars: a pixel of the condensed map is more likely to hold a feature. That is the intensification.\n\nThe price is place: of a winner you no longer know where in its window it stood."],
  ["The bias is a threshold",
    "The bias is added to every sum before ReLU. Below 0 it silences faint answers: noise goes first, strong edges stay. Above 0 it wakes up what was silent.\n\nMove the slider and watch the dead space."],
  ["Maximum against average",
    "An average counts every pixel of its window, the zeros as well. So features get paler the more dead space lies around them, where a maximum keeps them as bright as they were.\n\nSwitch between the two. Averages are at their best where the whole window matters, as at the very end of a network."],
  ["Stride: how far the window moves",
    "Until now each window began where the last one ended. With a stride smaller than the window they overlap: the map keeps more pixels, and a strong one wins in several windows at once.\n\nWith a stride of 1 the map does not shrink at all."],
  ["Now it is yours",
    "This kernel answers where it is brighter above than below. Rotate it, and it looks for another side. Drag a cell up or down and all four maps follow. Bring your own picture: drop it anywhere on the page.\n\nThe address of the page holds everything you set, so that you can send it to someone. “Code and files” gives you the program."],
];

const ZH = [
  ["图片就是一张数表",
    "每个像素都是一个数，从 0（黑）到 1（白）；彩色图片的每个像素有三个数，分别代表红、绿、蓝。卷积网络就在这些数里寻找特征：一条边、一个角、一种纹理。\n\n它分三步来做，从左到右：滤波、检测、浓缩。"],
  ["滤波：到处问同一个问题",
    "卷积核是一张小小的权重表。把它盖在图片的每个图块上，权重与像素相乘，再把乘积加起来。这个卷积核问的是：中间比周围更亮吗？\n\n红色的地方回答“是”，蓝色的地方正相反。下面的卡片逐个数字地列出了其中一处的算式。"],
  ["检测：只留下“是”",
    "ReLU 把小于 0 的数都变成 0，其余不变。剩下的数说明特征在哪里、有多强。\n\n图下方的条形说明有多少像素现在恰好是 0。这样的像素就是死区：后面的每一步计算都要带上它们，它们却什么也没说。"],
  ["浓缩：只留下最强的",
    "一个 2 × 2 的窗口扫过检测图，每个窗口只留下最大的数。图的高和宽都减半，特征却还在。\n\n标记显示了其中一个窗口、窗口里的胜者，以及这个数在原图上看到的范围。"],
  ["特征变得更密",
    "窗口越大，去掉的死区越多，激活的像素则留了下来。比较两根条形：浓缩后的一个像素更可能含有特征。这就是增强。\n\n代价是位置：胜者原来在窗口的哪个角落，已经无从知道了。"],
  ["偏置就是门槛",
    "偏置在 ReLU 之前加到每个和上。小于 0 时，它让微弱的回答沉默：噪声先消失，强的边缘留下来。大于 0 时，原本沉默的像素会被唤醒。\n\n拖动滑块，看看死区怎样变化。"],
  ["最大与平均",
    "平均值把窗口里的每个像素都算进去，连 0 也不例外。周围死区越多，特征就越淡；而最大值能让特征保持原来的亮度。\n\n来回切换试试。当整个窗口都重要时，平均值才最合适，比如在网络的最末端。"],
  ["步幅：窗口走多远",
    "到目前为止，每个窗口都紧接着上一个窗口。步幅小于窗口时，窗口会重叠：图保留更多像素，一个强的像素会同时在几个窗口里获胜。\n\n步幅为 1 时，图根本不会变小。"],
  ["现在轮到你了",
    "这个卷积核在上面比下面亮的地方作出回答。旋转它，它就去找另一侧。上下拖动一个格子，四幅图都会跟着变。也可以用你自己的图片：拖放到页面任何地方即可。\n\n你的全部设置都在网址里，可以直接发给别人。“代码与文件”会给你相应的程序。"],
];

/**
 * The steps in the language of the page.
 *
 * @param {(changes: Changes) => void} set
 * @returns {import("../../parts/guided-tour.js").Step[]}
 */
export function tourSteps(set) {
  const told = language() === "zh" ? ZH : EN;
  return STEPS.map(({ target, set: changes }, i) => ({
    target,
    title: told[i]?.[0] ?? "",
    text: told[i]?.[1] ?? "",
    // Each step is whole in itself: it does not depend on the way to it.
    prepare: () => set({ ...USUAL, view: WHOLE, ...changes }),
  }));
}
