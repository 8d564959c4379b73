/** What the room Scores says beside what it shares with the room Model. */

import { texts } from "../base/text.js";

export const t = texts({
  en: {
    title: "One number for each map", tour: "Guided tour", about: "{name}: {n} maps of {height} × {width} behind {layer}",
    layer: "Layer", by: "Score", "by-mean": "Mean of the map", "by-maximum": "Its maximum",
    "says-mean": "Global average pooling: the {height} × {width} = {n} numbers of a map become one, their mean. Where something is, is forgotten; how much of it there is, stays.",
    "says-maximum": "Global max pooling: of the {height} × {width} = {n} numbers of a map only the largest stays. It tells that something is there, not where, and not how much of it.",
    map: "Map {n}", "map-head": "Map", also: "place {n} there", "to-model": "See this map in the room Model",
    shared: "{n} of the {of} strongest maps are the same for both.",
    classes: "From scores to a class", "no-classes": "This model, or this layer, does not go on with global average pooling and one dense layer. Where it does, you see here what each map adds to a class.",
    "classes-text": "A class has a weight for every map. The score of the class is the sum of weight × mean over all maps, and a bias.",
    class: "Class", "cam-alt": "The picture under its class activation map for {name}: red speaks for the class, blue against it",
    "cam-text": "The same sum can be made at every place, before anything is averaged: that is the class activation map. Red speaks for the class, blue against it; its mean and the bias are the score.",
    sum: "What each map adds to the score of the class", weight: "Weight", adds: "Adds", rest: "All others", bias: "Bias", score: "Score",
  },
  zh: {
    title: "每张特征图一个数", tour: "导览", about: "{name}：{layer} 之后有 {n} 张 {height} × {width} 的特征图",
    layer: "层", by: "得分", "by-mean": "特征图的均值", "by-maximum": "特征图的最大值",
    "says-mean": "全局平均池化：一张特征图的 {height} × {width} = {n} 个数变成一个数，也就是均值。东西在哪里被忘掉了，有多少则留了下来。",
    "says-maximum": "全局最大池化：一张特征图的 {height} × {width} = {n} 个数只留下最大的一个。它说明有这样东西，却不说在哪里，也不说有多少。",
    map: "第 {n} 张", "map-head": "特征图", also: "在另一边排第 {n}", "to-model": "到“模型”房间看这张特征图",
    shared: "最强的 {of} 张特征图中，两边有 {n} 张相同。",
    classes: "从得分到类别", "no-classes": "这个模型（或这一层）之后不是“全局平均池化加一个全连接层”。如果是，这里会显示每张特征图给类别加了多少分。",
    "classes-text": "每个类别对每张特征图都有一个权重。类别的得分就是所有特征图的“权重 × 均值”之和，再加上偏置。",
    class: "类别", "cam-alt": "图片上叠加了“{name}”的类激活图：红色支持该类别，蓝色反对",
    "cam-text": "在取平均之前，可以在每个位置做同样的求和，这就是类激活图。红色支持这个类别，蓝色反对；它的均值加上偏置就是得分。",
    sum: "每张特征图给类别得分加了多少", weight: "权重", adds: "贡献", rest: "其余全部", bias: "偏置", score: "得分",
  },
});
