/** The guided tour of the room Model. */

import { language } from "../base/text.js";

/**
 * @typedef {import("../parts/guided-tour.js").Step} Step
 * @typedef {import("../rooms/model/looking.js").Looking} Looking
 */

const SAID = {
  en: [
    ["A model is a list of steps", "Each row is a layer. It takes the maps of the row above and makes new ones.\n\nConvolutions filter, ReLUs detect, pools condense: the same three steps as in the room Extract, again and again, with kernels that were learned. The built-in model has kernels with names, so that nothing in it is a secret."],
    ["The first layer still sees lines", "These are the feature maps of the first layer, the strongest first. Each one comes from a kernel of its own; bright is where the picture fits the kernel.\n\nChoose a map to see its kernel and its strongest place."],
    ["Behind every pixel lies a box", "Point at the map. The frame on the picture is the receptive field of that pixel: all that it can know of the picture.\n\nIn the first layer it is as small as the kernel."],
    ["Deeper pixels see more", "This is a layer behind two pools. Its maps are smaller, and a pixel sees a far larger box: each pool doubles the steps between neighbours.\n\nThe column Receptive field of the table shows how it grows."],
    ["Move the picture a little", "Now the picture is compared with itself, moved by two pixels. The curve tells how far the maps are apart, layer by layer.\n\nThey differ most at the beginning, and less behind each pool. That is translation invariance in the making."],
    ["Swap the pools", "What if the pools took the average, or blurred before they condense? The weights stay, only the pools are others.\n\nSee what it does to maps and answer. A model that was trained with max pools likes its own best."],
    ["Now yours", "Open an ONNX file of your own, and a picture. Choose what the numbers were in training: a model that expects 0 … 255 sees next to nothing in 0 … 1.\n\nThe address of this page holds all that you chose: share it, or come back to it."],
  ],
  zh: [
    ["模型就是一串步骤", "每一行是一层：它接过上一行的特征图，做出新的特征图。\n\n卷积负责滤波，ReLU 负责检测，池化负责浓缩。这正是“提取”房间里的三步，只是一遍遍重复，而且卷积核是学出来的。内置模型的卷积核都有名字，里面没有秘密。"],
    ["第一层还在看线条", "这是第一层的特征图，最强的排在前面。每一张来自自己的卷积核；越亮，说明图片那里越符合这个卷积核。\n\n选一张，就能看到它的卷积核和最强的位置。"],
    ["每个像素背后都有一个框", "指向特征图，图片上的方框就是这个像素的感受野：关于图片，它能知道的全在框里。\n\n在第一层，框只有卷积核那么大。"],
    ["越深的像素看得越广", "这一层在两次池化之后。特征图变小了，一个像素却能看到大得多的框：每次池化都让相邻像素的间距加倍。\n\n表格里的“感受野”一列显示它怎样增长。"],
    ["把图片挪一点", "现在把图片和平移两个像素后的自己对比。曲线显示每一层的特征图相差多少。\n\n开头差得最多，每经过一次池化就少一些。平移不变性就是这样形成的。"],
    ["换一换池化", "如果池化改取平均，或者先模糊再浓缩，会怎样？权重不变，只换池化。\n\n看看特征图和答案的变化。用最大池化训练出来的模型，还是最习惯它自己的池化。"],
    ["轮到你的模型", "打开你自己的 ONNX 文件和图片。注意选对训练时的数值范围：习惯 0 … 255 的模型，面对 0 … 1 几乎什么也看不见。\n\n你选择的一切都在网址里：可以分享，也可以改天再回来。"],
  ],
};

/**
 * The steps.
 *
 * @param {(changes: Partial<Looking>, layer?: string) => void} look
 * @param {Looking} looking what is looked at now
 * @returns {Step[]}
 */
export function modelTour(look, looking) {
  const demo = () => looking.model === "demo";
  const calm = /** @type {Partial<Looking>} */ ({ pools: "built", compare: "nothing" });
  /** The layer of the built-in model, or that which is chosen. @param {string} layer */
  const of = (layer) => (demo() ? layer : undefined);
  /** @type {Pick<Step, "target" | "prepare">[]} */
  const does = [
    { target: "#layers", prepare: () => look({ ...calm, model: looking.model || "demo" }) },
    { target: "#maps", prepare: () => look(calm, of("edges")) },
    { target: "#map" },
    { target: "#map", prepare: () => look(calm, of("textures")) },
    { target: "#curve", prepare: () => look({ pools: "built", compare: "shift", dx: 2, dy: 0 }) },
    { target: "#compare", prepare: () => look({ pools: "blur", compare: "built" }) },
    { target: "#choose-model", prepare: () => look(calm) },
  ];
  return does.map((each, i) => {
    const [title = "", text = ""] = SAID[language()][i] ?? [];
    return { ...each, title, text };
  });
}
