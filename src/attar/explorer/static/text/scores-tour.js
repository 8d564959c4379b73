/** The guided tour of the room Scores. */

import { language } from "../base/text.js";

/**
 * @typedef {import("../parts/guided-tour.js").Step} Step
 * @typedef {import("../rooms/model/looking.js").Looking} Looking
 */

const SAID = {
  en: [
    ["The end of the base", "These are the maps of the last layer that still knows where things are. What comes behind must decide what the picture shows, and the place no longer matters for that."],
    ["A map becomes a number", "Global average pooling takes the mean of each map. A long bar says: a lot of what this map looks for is in the picture.\n\nA map of thousands of pixels is now a single score."],
    ["The mean or the maximum?", "The maximum asks only whether a feature is anywhere at all; one bright pixel is enough. The mean asks how much of it there is.\n\nSee how the order changes."],
    ["Move the picture", "The picture is compared with itself, moved by eight pixels. The lines join the same maps on both sides: hardly one changes its place.\n\nThat is what pooling is for: the scores say what is there, wherever it is."],
    ["Another picture", "Now with another picture. Maps whose lines cross, or that have none, are what tells the two apart."],
    ["From scores to a class", "The built-in model ends as many trained ones do: each class is a weighted sum of the scores. The table adds it up; the coloured picture shows where the sum comes from.\n\nOpen your own model, and look for what it was really looking at."],
  ],
  zh: [
    ["主干的尽头", "这是最后一个还知道“在哪里”的层的特征图。之后的部分要判断图片里是什么，位置不再重要。"],
    ["一张特征图变成一个数", "全局平均池化对每张特征图取均值。条越长，说明这张特征图寻找的东西在图片里越多。\n\n几千个像素的特征图，现在只剩一个得分。"],
    ["均值还是最大值？", "最大值只问某个特征有没有出现过，一个亮像素就够了。均值问的是有多少。\n\n看看顺序怎样变化。"],
    ["挪动图片", "图片和平移八个像素后的自己对比。连线连接两边相同的特征图：几乎没有一张换了名次。\n\n这正是池化的用处：得分说明有什么，不管它在哪里。"],
    ["换一张图片", "现在换成另一张图片。连线交叉的、或没有连线的特征图，就是区分两张图片的依据。"],
    ["从得分到类别", "内置模型的结尾和许多训练好的模型一样：每个类别是得分的加权和。表格把它一项项加起来，彩色的图片显示这个和来自哪里。\n\n打开你自己的模型，看看它到底在看什么。"],
  ],
};

/**
 * The steps.
 *
 * @param {(changes: Partial<Looking>, scores?: {by?: "mean" | "maximum", layer?: string}) => void} look
 * @param {Looking} looking what is looked at now
 * @returns {Step[]}
 */
export function scoresTour(look, looking) {
  const calm = /** @type {Partial<Looking>} */ ({ pools: "built", compare: "nothing" });
  /** @type {Pick<Step, "target" | "prepare">[]} */
  const does = [
    { target: "#scores", prepare: () => look({ ...calm, model: looking.model || "demo" }, { by: "mean", layer: "" }) },
    { target: "#scores", prepare: () => look(calm, { by: "mean" }) },
    { target: "#scores", prepare: () => look(calm, { by: "maximum" }) },
    { target: "#scores", prepare: () => look({ pools: "built", compare: "shift", dx: 8, dy: 0 }, { by: "mean" }) },
    { target: "#scores", prepare: () => look({ pools: "built", compare: "picture" }, { by: "mean" }) },
    { target: "#classes", prepare: () => look(calm, { by: "mean", layer: "" }) },
  ];
  return does.map((each, i) => {
    const [title = "", text = ""] = SAID[language()][i] ?? [];
    return { ...each, title, text };
  });
}
