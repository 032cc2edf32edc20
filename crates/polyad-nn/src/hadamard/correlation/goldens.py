#!/usr/bin/env python3
"""Values of small networks, computed by PyTorch from the papers' equations; the tests beside this file hold them.

Parameters are numbered in the order in which they are made here, which is that of the layers' fields, and filled as
`check.rs` says.
"""

import torch
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)


# Parameters made so far.
count = 0


def numbers(shape, role):
    global count
    size = torch.Size(shape).numel()
    v = torch.sin(0.7 * torch.arange(size) + 0.3 * count + 0.1).reshape(shape)
    count += 1
    return {"scale": 1 + 0.1 * v, "bias": 0.1 * v, "weight": v / (size / shape[0]) ** 0.5}[role]


def scale(channels):
    return numbers([channels], "scale")[:, None, None]


def bias(channels):
    return numbers([channels], "bias")[:, None, None]


def conv(inputs, outputs, kernel=1, stride=1, groups=1, dilation=1, has_bias=True):
    weight = numbers([outputs, inputs // groups, kernel, kernel], "weight")
    shift = numbers([outputs], "bias") if has_bias else None
    zeros = kernel // 2 * dilation if kernel % 2 else 0
    return lambda x: F.conv2d(x, weight, shift, stride, zeros, dilation, groups)


def layer_norm(channels, has_bias=True):
    gamma = numbers([channels], "scale")
    beta = numbers([channels], "bias") if has_bias else None
    return lambda x: F.layer_norm(x.movedim(1, -1), [channels], gamma, beta, 1e-6).movedim(-1, 1)


def batch_norm(channels):
    gamma, beta = numbers([channels], "scale"), numbers([channels], "bias")
    return lambda x: F.batch_norm(x, torch.zeros(channels), torch.ones(channels), gamma, beta)


def linear(inputs, outputs):
    weight, shift = numbers([outputs, inputs], "weight"), numbers([outputs], "bias")
    return lambda x: F.linear(x, weight, shift)


def chain(functions):
    def run(x):
        for function in functions:
            x = function(x)
        return x

    return run


def gate(x):
    first, second = x.chunk(2, 1)
    return first * second


def gnconv(channels, order):
    widths = [channels // 2**k for k in reversed(range(order))]
    inside, depthwise = conv(channels, 2 * channels), conv(sum(widths), sum(widths), 7, groups=sum(widths))
    outside = conv(channels, channels)
    widen = [lambda p: p] + [conv(a, b) for a, b in zip(widths, widths[1:])]

    def run(x):
        p, q = inside(x).split([widths[0], sum(widths)], 1)
        for f, gate in zip(widen, (depthwise(q) / 3).split(widths, 1)):
            p = f(p) * gate
        return outside(p)

    return run


def hornet_block(width, order):
    first, second = scale(width), scale(width)
    norm1, mixer, norm2 = layer_norm(width), gnconv(width, order), layer_norm(width)
    widen, narrow = conv(width, 4 * width), conv(4 * width, width)

    def run(x):
        x = x + first * mixer(norm1(x))
        return x + second * narrow(F.gelu(widen(norm2(x))))

    return run


def hornet(base, depths, orders, classes):
    stages, inputs = [], 3
    for index, (depth, order) in enumerate(zip(depths, orders)):
        width = base * 2**index
        norm = layer_norm(width if index == 0 else inputs)
        down = conv(inputs, width, 2 if index else 4, 2 if index else 4)
        stages += [norm, down] if index else [lambda x, norm=norm, down=down: norm(down(x))]
        stages += [hornet_block(width, order) for _ in range(depth)]
        inputs = width
    norm, head = layer_norm(inputs), linear(inputs, classes)
    return lambda x: head(norm(chain(stages)(x).mean([2, 3], keepdim=True)).flatten(1))


def shift(x):
    down, up, right, left = x.chunk(4, 1)
    return torch.cat(
        [
            F.pad(down, [0, 0, 1, 0], "replicate")[:, :, :-1],
            F.pad(up, [0, 0, 0, 1], "replicate")[:, :, 1:],
            F.pad(right, [1, 0, 0, 0], "replicate")[..., :-1],
            F.pad(left, [0, 1, 0, 0], "replicate")[..., 1:],
        ],
        1,
    )


def mu_layer(width, inside, moved):
    norm_a, norm_b = layer_norm(inside), layer_norm(inside)
    project, reduce = conv(width, inside), conv(width, inside // 8)
    expand, output = conv(inside // 8, inside), conv(inside, width)

    def run(x):
        a, b = norm_a(moved(project(x))), norm_b(expand(moved(reduce(x))))
        return output(a + a * b)

    return run


def poly_block(width, expansion):
    norm = layer_norm(width)
    spatial, channel = mu_layer(width, width, shift), mu_layer(width, expansion * width, lambda x: x)

    def run(x):
        x = x + spatial(norm(x))
        return x + channel(norm(x))

    return run


def monet(widths, depths, expansion, classes):
    layers, inputs = [conv(3, widths[0], 2, 2)], widths[0]
    for index, (width, depth) in enumerate(zip(widths, depths)):
        layers.append(conv(inputs, width, 3 if index else 2, 2))
        layers += [poly_block(width, expansion) for _ in range(depth)]
        inputs = width
    head = linear(inputs, classes)
    return lambda x: head(chain(layers)(x).mean([2, 3]))


def naf_block(c):
    beta, gamma = scale(c), scale(c)
    conv1, conv2, conv3 = conv(c, 2 * c), conv(2 * c, 2 * c, 3, groups=2 * c), conv(c, c)
    attention, conv4, conv5 = conv(c, c), conv(c, 2 * c), conv(c, c)
    norm1, norm2 = layer_norm(c), layer_norm(c)

    def run(x):
        y = gate(conv2(conv1(norm1(x))))
        x = x + beta * conv3(y * attention(y.mean([2, 3], keepdim=True)))
        return x + gamma * conv5(gate(conv4(norm2(x))))

    return run


def nafnet(channels, width, encoder, middle, decoder):
    intro, down, up = conv(channels, width, 3), [], []
    for index, depth in enumerate(encoder):
        c = width * 2**index
        down.append((conv(c, 2 * c, 2, 2), [naf_block(c) for _ in range(depth)]))
    smallest = [naf_block(width * 2 ** len(encoder)) for _ in range(middle)]
    for index, depth in enumerate(decoder):
        c = width * 2 ** (len(decoder) - 1 - index)
        up.append((conv(2 * c, 4 * c, has_bias=False), [naf_block(c) for _ in range(depth)]))
    ending = conv(width, channels, 3)

    def run(picture):
        height, width = picture.shape[2:]
        step = 2 ** len(encoder)
        x, kept = intro(F.pad(picture, [0, -width % step, 0, -height % step])), []
        for resize, blocks in down:
            kept.append(chain(blocks)(x))
            x = resize(kept[-1])
        x = chain(smallest)(x)
        for resize, blocks in up:
            x = chain(blocks)(F.pixel_shuffle(resize(x), 2) + kept.pop())
        return ending(x)[:, :, :height, :width] + picture

    return run


def plain(inputs, outputs, *args, **kwargs):
    return conv(inputs, outputs, *args, has_bias=False, **kwargs)


def cell(inputs, width, inside, mlp, nodes, far, norm):
    down = [lambda x: x] * 2
    if inputs is not None:
        down = [chain([plain(inputs, inputs, 3, 2, inputs), plain(inputs, width)]) for _ in range(2)]
    older, newer = bias(width), bias(width)
    start, scales = norm(width), torch.sigmoid(numbers([nodes], "bias"))

    def poly_conv():
        widen = plain(width, inside)
        first = plain(inside, inside, 5, groups=inside, dilation=2) if far else plain(inside, inside, 3, groups=inside)
        second, third = plain(inside, inside, 3, groups=inside), plain(inside, inside, 3, groups=inside)
        narrow, last = plain(inside, width), norm(width)
        return lambda x: last(narrow(third(first(widen(x)) * second(widen(x)).flip(1))))

    def poly_mlp():
        widen, middle, narrow = plain(width, mlp), norm(mlp // 2), plain(mlp // 2, width)
        return lambda x: narrow(middle(gate(widen(x))))

    convs = [poly_conv() for _ in range(nodes // 2)]
    mlps = [poly_mlp() for _ in range(nodes // 2)]

    def run(two):
        two = [f(x) for f, x in zip(down, two)]
        x = start(older * two[0] + newer * two[1])
        for index, node in enumerate(node for pair in zip(convs, mlps) for node in pair):
            x = x + scales[index] * node(x)
        return [two[1], x]

    return run


def polynext(stages, nodes, norm, classes):
    """Stages: cells, width, channels inside a PolyConv, inside a PolyMLP."""
    stem, cells, inputs = plain(3, stages[0][1], 3), [], None
    for index, (count, width, inside, mlp) in enumerate(stages):
        for number in range(count):
            cells.append(cell(inputs if number == 0 else None, width, inside, mlp, nodes, index > 0, norm))
        inputs = width
    last, widen, head = norm(inputs), plain(inputs, 4 * inputs), linear(2 * inputs, classes)

    def run(x):
        left, right = widen(last(chain(cells)([stem(x)] * 2)[1])).chunk(2, 1)
        return head((left + left * right).mean([2, 3]))

    return run


def demonet(width, depth, patch, is_star, activation, classes):
    def block():
        gamma, norm = scale(width), layer_norm(width)
        depthwise, widen = conv(width, width, 7, groups=width), conv(width, 6 * width)
        narrow = conv(3 * width, width)

        def run(x):
            first, second = widen(depthwise(norm(x))).chunk(2, 1)
            first = activation(first)
            return x + gamma * narrow(first * second if is_star else first + second)

        return run

    stem = numbers([width, 3, patch, patch], "weight"), numbers([width], "bias")
    blocks = [block() for _ in range(depth)]
    norm, head = layer_norm(width), linear(width, classes)
    return lambda x: head(norm(chain(blocks)(F.conv2d(x, *stem, patch)).mean([2, 3], keepdim=True)).flatten(1))


def wave(shape, frequency):
    return torch.sin(frequency * (1 + torch.arange(torch.Size(shape).numel()))).reshape(shape)


def show(name, network, x):
    global count
    count = 0
    print(name, *(f"{number:.12f}" for number in network()(x).flatten()[:3].tolist()))


show("hornet", lambda: hornet(4, [1, 2], [2, 3], 3), wave([1, 3, 9, 12], 0.9))
show("monet", lambda: monet([32, 64], [1, 1], 1, 3), wave([1, 3, 9, 17], 0.3))
show("nafnet", lambda: nafnet(2, 6, [1, 1], 1, [1, 1]), wave([2, 2, 5, 7], 0.3))
stages = [(1, 6, 4, 12), (2, 8, 6, 14)]
show("polynext ln", lambda: polynext(stages, 2, lambda c: layer_norm(c, False), 3), wave([1, 3, 7, 5], 0.3))
show("polynext bn", lambda: polynext(stages, 2, batch_norm, 3), 20 * wave([1, 3, 7, 5], 0.3))
for is_star in [True, False]:
    for activation in [F.gelu, lambda x: x]:
        show("demonet", lambda: demonet(5, 2, 3, is_star, activation, 3), wave([1, 3, 7, 9], 0.3))
