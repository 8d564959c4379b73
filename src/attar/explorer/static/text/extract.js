/** What the room Extract says. */

import { texts } from "../base/text.js";

export const t = texts({
  en: {
    title: "Extract: filter, detect, condense",
    lead: "Three steps make a feature map of a picture. Change any of them, and see what is left.",
    // Panels
    image: "Input", filter: "Filter", detect: "Detect", condense: "Condense",
    "image-color": "colour, 3 channels", "image-gray": "gray, 1 channel",
    "filter-how": "{height} × {width} kernel", "filter-stride": "stride {stride}",
    relu: "ReLU: what is below 0 becomes 0", "no-relu": "no activation",
    "pool-max": "maximum of {size} × {size}", "pool-average": "average of {size} × {size}", "pool-none": "no pooling",
    "pool-stride": "stride {stride}", dead: "Dead space", range: "{from} … {to}",
    map: "{stage}, {size} pixels, values from {from} to {to}.",
    "map-dead": "Dead space {dead}.", keys: "Arrow keys point at a pixel, Enter holds it, + and − zoom.",
    scale: "Colours of {stage}, from {from} to {to}",
    // Tools
    tools: "Tools", tour: "Guided tour", save: "Code and files…", closer: "Zoom in", farther: "Zoom out", whole: "Whole picture",
    // Knobs
    "picture-card": "Picture", read: "Read as", color: "Colour", gray: "Gray",
    "kernel-card": "Kernel", kernel: "Kernel", own: "your own", gaussian: "Gaussian", random: "random",
    height: "Height", width: "Width", size: "Size", std: "Standard deviation", seed: "Seed",
    rotate: "Rotate", "rotate-what": "Turn by 90° clockwise", flip: "Flip sign", "flip-what": "Bright becomes dark, and dark bright",
    normalise: "Normalise", "normalise-what": "Make the weights sum to 1; where they sum to 0, their sizes",
    another: "Random", "another-what": "Draw a random kernel",
    text: "As text", "text-label": "Rows of numbers, or a name", use: "Use it",
    "filter-card": "Filter", bias: "Bias", stride: "Stride", padding: "Padding", same: "same", valid: "valid",
    "detect-card": "Detect", activation: "Activation", "relu-name": "ReLU", none: "none",
    "condense-card": "Condense", pool: "Pooling", max: "maximum", average: "average",
    "colours-card": "Colours", active: "Active maps", signed: "Signed maps",
    // Numbers
    "numbers-card": "Dead space and intensification", "dead-of": "Dead space of {stage}", "active-of": "Active pixels of {stage}",
    stage: "Map", "active-part": "Active",
    intensification: "Intensification", intensified: "A pixel of Condense is {times} times as likely to hold a feature as a pixel of Detect.",
    "as-likely": "A pixel of Condense is as likely to hold a feature as a pixel of Detect.",
    "not-intensified": "Nothing is active, so there is nothing to intensify.", times: "× {times}",
    // Arithmetic
    "sum-card": "How this number came about",
    "sum-hint": "Point at a pixel of any map to see the numbers behind it. A click or Enter holds on to it.",
    strongest: "Show the strongest pixel", release: "Let go", "look-closer": "Look closer",
    "sum-where": "{stage}, row {row}, column {column}",
    patch: "Patch", "patch-color": "Patch (mean)", weights: "Kernel", products: "Products",
    "table-size": "{what}, {height} × {width}",
    outside: "padding", sum: "Sum", "plus-bias": "+ bias {bias}", "is-filter": "Filter", "is-detect": "Detect", "is-condense": "Condense",
    window: "Window", "max-of": "maximum", "average-of": "average", "and-relu": "ReLU", "no-activation": "unchanged",
    "color-note": "The kernel goes over each channel alone, and the three sums are averaged: R {r}, G {g}, B {b}. That is the same as filtering the mean of the channels, which is shown.",
    "not-covered": "No window of the pool covers this pixel: it is left out.",
    "all-dead": "Every pixel of the window is 0: dead space.",
    "lost-to": "Another pixel of its window is stronger; this one is dropped.",
    said: "{stage}, row {row}, column {column}: {value}.",
    "said-steps": "Sum {sum}, with bias {filter}, after the activation {detect}, condensed {condense}.",
    // Taking along
    "save-title": "Code and files", python: "Python, with attar", keras: "Keras", copy: "Copy", copied: "Copied",
    "copy-failed": "Select the text and copy it", close: "Close", download: "Download", "code-label": "The program that makes this picture",
    "png-what": "The four panels as PNG", "svg-what": "The four panels as SVG", "npy-what": "The condensed map as .npy",
    "npz-what": "Every map as .npz", "python-what": "The program as .py",
  },
  zh: {
    title: "提取：滤波、检测、浓缩",
    lead: "三步就把一幅图变成特征图。改动任何一步，看看留下了什么。",
    image: "输入", filter: "滤波", detect: "检测", condense: "浓缩",
    "image-color": "彩色，3 个通道", "image-gray": "灰度，1 个通道",
    "filter-how": "{height} × {width} 卷积核", "filter-stride": "步幅 {stride}",
    relu: "ReLU：小于 0 的变成 0", "no-relu": "无激活",
    "pool-max": "{size} × {size} 取最大值", "pool-average": "{size} × {size} 取平均值", "pool-none": "不池化",
    "pool-stride": "步幅 {stride}", dead: "死区", range: "{from} … {to}",
    map: "{stage}，{size} 像素，取值 {from} 到 {to}。",
    "map-dead": "死区 {dead}。", keys: "方向键指向像素，回车固定，+ 和 − 缩放。",
    scale: "{stage}的颜色，从 {from} 到 {to}",
    tools: "工具", tour: "导览", save: "代码与文件…", closer: "放大", farther: "缩小", whole: "整幅图",
    "picture-card": "图片", read: "读作", color: "彩色", gray: "灰度",
    "kernel-card": "卷积核", kernel: "卷积核", own: "自定义", gaussian: "高斯", random: "随机",
    height: "高", width: "宽", size: "尺寸", std: "标准差", seed: "种子",
    rotate: "旋转", "rotate-what": "顺时针转 90°", flip: "变号", "flip-what": "亮变暗，暗变亮",
    normalise: "归一化", "normalise-what": "让权重之和为 1；若和为 0，则让绝对值之和为 1",
    another: "随机", "another-what": "随机生成一个卷积核",
    text: "文本形式", "text-label": "几行数字，或一个名字", use: "使用",
    "filter-card": "滤波", bias: "偏置", stride: "步幅", padding: "填充", same: "same", valid: "valid",
    "detect-card": "检测", activation: "激活函数", "relu-name": "ReLU", none: "无",
    "condense-card": "浓缩", pool: "池化", max: "最大", average: "平均",
    "colours-card": "配色", active: "激活图", signed: "带正负号的图",
    "numbers-card": "死区与增强", "dead-of": "{stage}的死区", "active-of": "{stage}的激活像素",
    stage: "特征图", "active-part": "激活",
    intensification: "增强", intensified: "浓缩图的一个像素含有特征的可能性，是检测图的 {times} 倍。",
    "as-likely": "浓缩图的一个像素含有特征的可能性，与检测图的一样。",
    "not-intensified": "没有激活的像素，也就谈不上增强。", times: "× {times}",
    "sum-card": "这个数是怎么来的",
    "sum-hint": "指向任意一幅图的像素，就能看到它背后的数。点击或按回车可以固定。",
    strongest: "查看最强的像素", release: "取消固定", "look-closer": "凑近看",
    "sum-where": "{stage}，第 {row} 行，第 {column} 列",
    patch: "图块", "patch-color": "图块（平均）", weights: "卷积核", products: "乘积",
    "table-size": "{what}，{height} × {width}",
    outside: "填充", sum: "和", "plus-bias": "+ 偏置 {bias}", "is-filter": "滤波", "is-detect": "检测", "is-condense": "浓缩",
    window: "窗口", "max-of": "取最大", "average-of": "取平均", "and-relu": "ReLU", "no-activation": "不变",
    "color-note": "卷积核分别作用于每个通道，再对三个和取平均：R {r}，G {g}，B {b}。这与先对通道取平均再滤波是一回事，上面显示的就是平均后的图块。",
    "not-covered": "没有池化窗口覆盖这个像素：它被舍弃了。",
    "all-dead": "窗口里的像素全是 0：死区。",
    "lost-to": "窗口里有更强的像素，这一个被丢掉了。",
    said: "{stage}，第 {row} 行，第 {column} 列：{value}。",
    "said-steps": "和为 {sum}，加偏置后 {filter}，激活后 {detect}，浓缩后 {condense}。",
    "save-title": "代码与文件", python: "Python（attar）", keras: "Keras", copy: "复制", copied: "已复制",
    "copy-failed": "请选中文字后复制", close: "关闭", download: "下载", "code-label": "生成这张图的程序",
    "png-what": "四幅图，PNG 格式", "svg-what": "四幅图，SVG 格式", "npy-what": "浓缩图，.npy 格式",
    "npz-what": "所有特征图，.npz 格式", "python-what": "程序，.py 格式",
  },
});

/** Names of kernels in Chinese; English has those of the library. @type {Record<string, string>} */
const KERNELS = {
  identity: "恒等", edge: "边缘", laplacian: "拉普拉斯", log: "高斯—拉普拉斯", sharpen: "锐化", emboss: "浮雕",
  blur: "模糊", blur_5: "模糊 5 × 5", box: "均值",
};
/** @type {Record<string, string>} */
const SIDES = { top: "上", right: "右", bottom: "下", left: "左" };

/** What a named kernel is called. @param {string} name @param {import("../base/text.js").Language} language */
export function kernelName(name, language) {
  if (language === "en") return name.replaceAll("_", " ");
  const [side = "", rest = ""] = name.split("_");
  const found = KERNELS[name] ?? (SIDES[side] ? `${SIDES[side]} ${rest[0]?.toUpperCase()}${rest.slice(1)}` : "");
  return found ? `${found}（${name}）` : name;
}
