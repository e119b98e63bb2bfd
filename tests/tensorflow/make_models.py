"""Whole networks, node for node as the exporters of the TF object detection API, of BERT and of Keras write them: names, loops, tensor
arrays, conditions, assertions that only control inputs reach. What they give is computed here without the graph."""
import numpy as np

import reference as R
from graphdef import Func, Graph, Shape, Type, UNKNOWN_SHAPE, saved_model
from make_graphs import BOOL, Case, F32, I32, I64, rng, x

U8, VARIANT, RESOURCE = Type('uint8'), Type('variant'), Type('resource')


def op(g, name, *inputs, at=None, **attrs):
    return g.add(name, list(inputs), at, **attrs)


def slice_of(g, v, begin, end, dtype=F32, shrink=0, begin_mask=0, end_mask=0, at='strided_slice'):
    name = g.prefix + at
    stack = [g.i32(begin, at + '/stack'), g.i32(end, at + '/stack_1'), g.i32([1] * len(begin), at + '/stack_2')]
    return g.add('StridedSlice', [v, *stack], at, T=dtype, Index=I32, begin_mask=begin_mask, end_mask=end_mask, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=shrink)


def dim(g, v, i, dtype=F32):
    return slice_of(g, op(g, 'Shape', v, T=dtype, out_type=I32), [i], [i + 1], I32, shrink=1)


def pack(g, *v, dtype=I32, axis=0, at='stack'):
    return g.add('Pack', list(v), at, N=len(v), T=dtype, axis=axis)


def concat(g, axis, *v, dtype=F32, at='concat'):
    return g.add('ConcatV2', [*v, g.i32(axis, at + '/axis')], at, N=len(v), T=dtype, Tidx=I32)


def reshape(g, v, shape, dtype=F32, at='Reshape'):
    shape = shape if isinstance(shape, str) else g.i32(shape, at + '/shape')
    return g.add('Reshape', [v, shape], at, T=dtype, Tshape=I32)


def gather(g, v, index, axis=0, dtype=F32, index_type=I32, at='GatherV2'):
    return g.add('GatherV2', [v, index, g.i32(axis, at + '/axis')], at, Tparams=dtype, Tindices=index_type, Taxis=I32, batch_dims=0)


def transpose(g, v, perm, dtype=F32, at='transpose'):
    return g.add('Transpose', [v, g.i32(perm, at + '/perm')], at, T=dtype, Tperm=I32)


def cond(g, pred, true_fn, false_fn, captured, dtype, at='cond'):
    """tf.cond of version 1 over one captured tensor."""
    with g.scope(at):
        g.add('Switch', [pred, pred], 'Switch', T=BOOL)
        t = g.add('Identity', [g.prefix + 'Switch:1'], 'switch_t', T=BOOL)
        f = g.add('Identity', [g.prefix + 'Switch'], 'switch_f', T=BOOL)
        p = g.add('Identity', [pred], 'pred_id', T=BOOL)
        a = true_fn(lambda v, n, ty: g.add('Switch', [v, p], n + '/Switch', T=ty) + ':1', '^' + t)
        b = false_fn(lambda v, n, ty: g.add('Switch', [v, p], n + '/Switch', T=ty), '^' + f)
        return g.add('Merge', [b, a], 'Merge', N=2, T=dtype)


def map_fn(g, elems, types, fn, out_types, at='map'):
    """tf.map_fn of version 1: tensor arrays in and out of a while loop."""
    with g.scope(at):
        n = slice_of(g, op(g, 'Shape', elems[0], T=types[0], out_type=I32), [0], [1], I32, shrink=1)

        def array(dtype, name):
            return g.add('TensorArrayV3', [n], name, dtype=dtype, element_shape=UNKNOWN_SHAPE, dynamic_size=False, clear_after_read=True, identical_element_shapes=True, tensor_array_name='')
        ins = []
        for i, (e, t) in enumerate(zip(elems, types)):
            a = array(t, f'TensorArray{"_%d" % i if i else ""}')
            with g.scope('TensorArrayUnstack'):
                count = slice_of(g, op(g, 'Shape', e, T=t, out_type=I32), [0], [1], I32, shrink=1)
                r = g.add('Range', [g.i32(0, 'range/start'), count, g.i32(1, 'range/delta')], 'range', Tidx=I32)
                ins.append((a, g.add('TensorArrayScatterV3', [a, r, e, a + ':1'], 'TensorArrayScatter/TensorArrayScatterV3', T=t)))
        zero = g.i32(0)
        outs = [array(t, f'TensorArray_{i + len(elems)}') for i, t in enumerate(out_types)]
        with g.scope('while'):
            frame = g.prefix + 'while_context'

            def enter(v, t, constant=False, name='Enter'):
                return g.add('Enter', [v], name, T=t, frame_name=frame, is_constant=constant, parallel_iterations=10)
            first = [enter(zero, I32), enter(zero, I32)] + [enter(o + ':1', F32) for o in outs]
            merges, kinds = [], [I32, I32] + [F32] * len(outs)
            names = [g.prefix + 'NextIteration' + (f'_{i}' if i else '') for i in range(len(first))]  # what they will be called
            for e, nx, t in zip(first, names, kinds):
                merges.append(g.add('Merge', [e, nx], 'Merge', N=2, T=t))
            limit = enter(n, I32, True, 'Less/Enter')
            less = g.add('LogicalAnd', [g.add('Less', [merges[0], limit], 'Less', T=I32), g.add('Less', [merges[1], limit], 'Less_1', T=I32)], 'LogicalAnd')
            lc = g.add('LoopCond', [less], 'LoopCond')
            sw = [g.add('Switch', [m, lc], 'Switch', T=t) for m, t in zip(merges, kinds)]
            ids = [g.add('Identity', [s + ':1'], 'Identity', T=t) for s, t in zip(sw, kinds)]
            one = g.add('Const', ['^' + ids[0]], 'add/y', value=np.int32(1), dtype=I32)
            nexts = [g.add('Add', [ids[0], one], 'add', T=I32)]
            read = []
            for (a, flow), t in zip(ins, types):
                h, f = enter(a, RESOURCE, True, 'TensorArrayReadV3/Enter'), enter(flow, F32, True, 'TensorArrayReadV3/Enter_1')
                read.append(g.add('TensorArrayReadV3', [h, ids[1], f], 'TensorArrayReadV3', dtype=t))

            def outer(v, t):
                """A tensor of the graph around."""
                return enter(v, t, True)
            results = fn(read, ids[1], outer)
            written = []
            for o, v, flow, t in zip(outs, results, ids[2:], out_types):
                h = enter(o, RESOURCE, True, 'TensorArrayWrite/TensorArrayWriteV3/Enter')
                written.append(g.add('TensorArrayWriteV3', [h, ids[1], v, flow], 'TensorArrayWrite/TensorArrayWriteV3', T=t))
            one = g.add('Const', ['^' + ids[0]], 'add_1/y', value=np.int32(1), dtype=I32)
            nexts.append(g.add('Add', [ids[1], one], 'add_1', T=I32))
            for v, nx, t in zip(nexts + written, names, kinds):
                assert g.add('NextIteration', [v], 'NextIteration', T=t) == nx
            exits = [g.add('Exit', [s], 'Exit', T=t) for s, t in zip(sw, kinds)]
        stacked = []
        for o, ex, t in zip(outs, exits[2:], out_types):
            with g.scope('TensorArrayStack'):
                size = g.add('TensorArraySizeV3', [o, ex], 'TensorArraySizeV3')
                r = g.add('Range', [g.i32(0, 'range/start'), size, g.i32(1, 'range/delta')], 'range', Tidx=I32)
                stacked.append(g.add('TensorArrayGatherV3', [o, r, ex], 'TensorArrayGatherV3', dtype=t, element_shape=UNKNOWN_SHAPE))
        return stacked


# ------------------------------------------------------------------------------------------------------------- SSD

CLASSES, PER_CLASS, TOTAL, OVERLAP, LEAST = 3, 6, 10, 0.5, 0.45
SIDE = 16


def ssd_weights():
    def w(*shape):
        return x(*shape) * np.float32(1.5 / np.sqrt(np.prod(shape[:-1])))
    return dict(conv=w(3, 3, 3, 8), dw=x(3, 3, 8, 1) * np.float32(.5), pw=w(1, 1, 8, 12), expand=w(1, 1, 12, 24), dw2=x(3, 3, 24, 1) * np.float32(.4), project=w(1, 1, 24, 12), box0=w(1, 1, 12, 8), cls0=w(1, 1, 12, 2 * (CLASSES + 1)) * np.float32(.5),
                box1=w(3, 3, 12, 4), cls1=w(3, 3, 12, CLASSES + 1) * np.float32(.5), scale=rng.random((5, 24)).astype(np.float32) + np.float32(.5), shift=x(5, 24) * np.float32(.2), mean=x(5, 24) * np.float32(.1),
                var=rng.random((5, 24)).astype(np.float32) + np.float32(.5))


def anchors_of():
    out = []
    for cells, sizes in ((8, ((.3, .3), (.5, .25))), (4, ((.7, .7),))):
        for i in range(cells):
            for j in range(cells):
                for h, w in sizes:
                    y, c = (i + .5) / cells, (j + .5) / cells
                    out.append((y - h / 2, c - w / 2, y + h / 2, c + w / 2))
    return np.array(out, np.float32)


def batch_norm(w, k, c, v):
    return (v - w['mean'][k, :c]) / np.sqrt(w['var'][k, :c] + np.float32(.001)) * w['scale'][k, :c] + w['shift'][k, :c]


def ssd_expected(images, w):
    v = R.resize_bilinear(images.astype(np.float32), (SIDE, SIDE)) * (2 / 255) - 1
    relu6 = lambda a: np.clip(a, 0, 6)
    v = relu6(batch_norm(w, 0, 8, R.conv(v, w['conv'], 2)))
    v = relu6(batch_norm(w, 1, 8, R.conv(v, w['dw'], 1, depthwise=True)))
    v = relu6(batch_norm(w, 2, 12, R.conv(v, w['pw'])))
    e = relu6(batch_norm(w, 3, 24, R.conv(v, w['expand'])))
    e = relu6(batch_norm(w, 4, 24, R.conv(e, w['dw2'], 1, depthwise=True)))
    v = v + R.conv(e, w['project'])
    n = len(images)
    small = R.conv(v, w['box1'], 2).reshape(n, -1, 4)
    boxes = np.concatenate([R.conv(v, w['box0']).reshape(n, -1, 4), small], 1)
    logits = np.concatenate([R.conv(v, w['cls0']).reshape(n, -1, CLASSES + 1), R.conv(v, w['cls1'], 2).reshape(n, -1, CLASSES + 1)], 1)
    a = anchors_of().astype(np.float64)
    ah, aw = a[:, 2] - a[:, 0], a[:, 3] - a[:, 1]
    ay, ax = a[:, 0] + ah / 2, a[:, 1] + aw / 2
    y, c = boxes[..., 0] / 10 * ah + ay, boxes[..., 1] / 10 * aw + ax
    h, w_ = np.exp(boxes[..., 2] / 5) * ah, np.exp(boxes[..., 3] / 5) * aw
    boxes = np.stack([y - h / 2, c - w_ / 2, y + h / 2, c + w_ / 2], -1)
    scores = R.sigmoid(logits)[..., 1:]
    out = np.zeros((n, TOTAL, 4)), np.zeros((n, TOTAL)), np.zeros((n, TOTAL)), np.zeros(n)
    for i in range(n):
        found = []
        for k in range(CLASSES):
            keep = np.where(scores[i, :, k] > LEAST)[0]
            for j in R.nms(boxes[i][keep], scores[i, keep, k], PER_CLASS, OVERLAP):
                b = np.clip(boxes[i][keep[j]], 0, 1)
                if (b[2] - b[0]) * (b[3] - b[1]) > 0:
                    found.append((scores[i, keep[j], k], k, b))
        found = sorted(found, key=lambda f: -f[0])[:TOTAL]
        for t, (s, k, b) in enumerate(found):
            out[0][i, t], out[1][i, t], out[2][i, t] = b, s, k + 1
        out[3][i] = len(found)
    return out


def ssd_features(g, v, w):
    def layer(v, name, kernel, k, c, depthwise=False, stride=1):
        with g.scope(name):
            kind = 'depthwise' if depthwise else 'Conv2D'
            weights = g.add('Identity', [g.f32(kernel, 'depthwise_weights' if depthwise else 'weights')], 'weights/read', T=F32)
            y = g.add('DepthwiseConv2dNative' if depthwise else 'Conv2D', [v, weights], kind, T=F32, strides=[1, stride, stride, 1], padding='SAME', data_format='NHWC', dilations=[1, 1, 1, 1])
            consts = [g.add('Identity', [g.f32(w[p][k, :c], f'BatchNorm/{t}')], f'BatchNorm/{t}/read', T=F32) for p, t in (('scale', 'gamma'), ('shift', 'beta'), ('mean', 'moving_mean'), ('var', 'moving_variance'))]
            y = g.add('FusedBatchNormV3', [y, *consts], 'BatchNorm/FusedBatchNormV3', T=F32, U=F32, epsilon=.001, is_training=False, data_format='NHWC')
            return g.add('Relu6', [y], 'Relu6', T=F32)
    with g.scope('FeatureExtractor'), g.scope('MobilenetV2'):
        v = layer(v, 'Conv', w['conv'], 0, 8, stride=2)
        v = layer(v, 'expanded_conv/depthwise', w['dw'], 1, 8, True)
        v = layer(v, 'expanded_conv/project', w['pw'], 2, 12)
        e = layer(v, 'expanded_conv_1/expand', w['expand'], 3, 24)
        e = layer(e, 'expanded_conv_1/depthwise', w['dw2'], 4, 24, True)
        e = g.add('Conv2D', [e, g.f32(w['project'], 'expanded_conv_1/project/weights')], 'expanded_conv_1/project/Conv2D', T=F32, strides=[1, 1, 1, 1], padding='SAME', data_format='NHWC')
        return g.add('Add', [v, e], 'expanded_conv_1/add', T=F32)


def ssd_predict(g, v, w, index, stride):
    outs = []
    with g.scope(f'BoxPredictor_{index}'):
        batch = dim(g, v, 0)
        for name, kernel, last in (('BoxEncodingPredictor', w[f'box{index}'], [1, 4]), ('ClassPredictor', w[f'cls{index}'], [CLASSES + 1])):
            y = g.add('Conv2D', [v, g.f32(kernel, name + '/weights')], name + '/Conv2D', T=F32, strides=[1, stride, stride, 1], padding='SAME', data_format='NHWC')
            y = g.add('BiasAdd', [y, g.f32(np.zeros(kernel.shape[-1]), name + '/biases')], name + '/BiasAdd', T=F32, data_format='NHWC')
            shape = pack(g, batch, g.i32(-1), *[g.i32(d) for d in last])
            y = reshape(g, y, shape)
            outs.append(g.add('Squeeze', [y], 'Squeeze', T=F32, squeeze_dims=[2]) if len(last) == 2 else y)
    return outs


def ssd_anchors(g):
    """As the generator computes them: a grid of centers, tiled with the sizes."""
    parts = []
    with g.scope('MultipleGridAnchorGenerator'):
        for cells, sizes in ((8, ((.3, .3), (.5, .25))), (4, ((.7, .7),))):
            def centers(axis):
                r = g.add('Cast', [g.add('Range', [g.i32(0), g.i32(cells), g.i32(1)], 'range', Tidx=I32)], 'ToFloat', SrcT=I32, DstT=F32)
                c = g.add('Add', [g.add('Mul', [r, g.f32(1 / cells)], 'mul', T=F32), g.f32(.5 / cells)], 'add', T=F32)
                wide = g.add('ExpandDims', [c, g.i32(1 - axis)], 'ExpandDims', T=F32, Tdim=I32)
                return g.add('Tile', [wide, g.i32([1, cells] if axis == 0 else [cells, 1])], 'Tile', T=F32, Tmultiples=I32)
            both = [reshape(g, centers(axis), [-1, 1]) for axis in (0, 1)]
            size = np.array(sizes, np.float32)
            half = [g.add('Mul', [g.f32(.5), g.f32(size[:, k][None])], 'mul', T=F32) for k in (0, 1)]
            corners = [g.add('Sub', [both[k], half[k]], 'sub', T=F32) for k in (0, 1)] + [g.add('Add', [both[k], half[k]], 'add', T=F32) for k in (0, 1)]
            parts.append(reshape(g, pack(g, *corners, dtype=F32, axis=2), [-1, 4]))
        return concat(g, 0, *parts, at='Concatenate/concat')


def ssd_decode(g, encodings, anchors):
    with g.scope('Postprocessor'):
        batch = dim(g, encodings, 0)
        tiled = g.add('Tile', [g.add('ExpandDims', [anchors, g.i32(0)], 'ExpandDims', T=F32, Tdim=I32), pack(g, batch, g.i32(1), g.i32(1))], 'Tile', T=F32, Tmultiples=I32)
        a, e = reshape(g, tiled, [-1, 4]), reshape(g, encodings, [-1, 4])
        with g.scope('Decode'):
            with g.scope('get_center_coordinates_and_sizes'):
                u = g.add('Unpack', [transpose(g, a, [1, 0])], 'unstack', T=F32, num=4, axis=0)
                aw, ah = g.add('Sub', [u + ':3', u + ':1'], 'sub', T=F32), g.add('Sub', [u + ':2', u], 'sub_1', T=F32)
                ay = g.add('Add', [u, g.add('RealDiv', [ah, g.f32(2)], 'truediv', T=F32)], 'add', T=F32)
                ax = g.add('Add', [u + ':1', g.add('RealDiv', [aw, g.f32(2)], 'truediv_1', T=F32)], 'add_1', T=F32)
            u = g.add('Unpack', [transpose(g, e, [1, 0])], 'unstack', T=F32, num=4, axis=0)
            scaled = [g.add('RealDiv', [u + (f':{i}' if i else ''), g.f32(s)], 'truediv', T=F32) for i, s in enumerate((10, 10, 5, 5))]
            h, w = g.add('Mul', [g.add('Exp', [scaled[2]], 'Exp', T=F32), ah], 'mul', T=F32), g.add('Mul', [g.add('Exp', [scaled[3]], 'Exp', T=F32), aw], 'mul', T=F32)
            y, c = (g.add('Add', [g.add('Mul', [s, d], 'mul', T=F32), m], 'add', T=F32) for s, d, m in ((scaled[0], ah, ay), (scaled[1], aw, ax)))
            half = [g.add('RealDiv', [d, g.f32(2)], 'truediv', T=F32) for d in (h, w)]
            corners = [g.add('Sub', [y, half[0]], 'sub', T=F32), g.add('Sub', [c, half[1]], 'sub', T=F32), g.add('Add', [y, half[0]], 'add', T=F32), g.add('Add', [c, half[1]], 'add', T=F32)]
            boxes = transpose(g, pack(g, *corners, dtype=F32), [1, 0], at='transpose_1')
        return g.add('ExpandDims', [reshape(g, boxes, pack(g, batch, g.i32(-1), g.i32(4))), g.i32(2)], 'ExpandDims_1', T=F32, Tdim=I32)


def picked(g, fields, index, index_type=I32):
    return [gather(g, f, index, index_type=index_type, at='Gather/' + n) for f, n in zip(fields, ('boxes', 'scores', 'classes'))]


def where_greater(g, v, least):
    index = g.add('Where', [g.add('Greater', [v, g.f32(least)], 'Greater', T=F32)], 'Where', T=BOOL)
    return g.add('Cast', [reshape(g, index, [-1], I64)], 'ToInt32', SrcT=I64, DstT=I32)


def sorted_by_score(g, fields):
    with g.scope('SortByField'):
        n = dim(g, fields[1], 0)
        equal = g.add('Equal', [n, dim(g, fields[0], 0)], 'Equal', T=I32)
        check = g.add('Assert', [equal, g.const(np.array('Incorrect field size'))], 'Assert', T=[Type('str')], summarize=3)
        top = g.add('TopKV2', [fields[1], n, '^' + check], 'TopKV2', T=F32, sorted=True)
        return picked(g, fields, top + ':1')


def pad_or_clip(g, v, dtype, rank):
    """Cut off by a condition, then padded."""
    with g.scope('PadOrClipBoxList'):
        n = dim(g, v, 0, dtype)
        total = g.i32(TOTAL)
        long = g.add('Greater', [n, total], 'Greater', T=I32)

        def cut(switch, control):
            size = np.array([TOTAL] + [-1] * (rank - 1), np.int32)
            begin = g.add('Const', [control], 'Slice/begin', value=np.zeros(rank, np.int32), dtype=I32)
            return g.add('Slice', [switch(v, 'Slice', dtype), begin, g.add('Const', [control], 'Slice/size', value=size, dtype=I32)], 'Slice', T=dtype, Index=I32)
        v = cond(g, long, cut, lambda switch, control: switch(v, 'Identity', dtype), v, dtype)
        kept = g.add('Minimum', [n, total], 'Minimum', T=I32)
        row = pack(g, g.i32(0), g.add('Sub', [total, kept], 'sub', T=I32))
        pads = pack(g, row, *[g.i32([0, 0]) for _ in range(rank - 1)])
        return g.add('Pad', [v, pads], 'Pad', T=dtype, Tpaddings=I32), kept


def ssd_suppress(g, boxes, scores):
    def one_image(read, _, outer):
        with g.scope('MultiClassNonMaxSuppression'):
            b, s = read
            n = dim(g, b, 0)
            u = g.add('Unpack', [b], 'unstack', T=F32, num=1, axis=1)
            found = []
            for k in range(CLASSES):
                one = g.add('Slice', [s, g.i32([0, k]), pack(g, n, g.i32(1))], 'Slice', T=F32, Index=I32)
                one = reshape(g, one, [-1])
                with g.scope('FilterGreaterThan'):
                    kept = picked(g, [u, one], where_greater(g, one, LEAST))
                most = g.add('Minimum', [g.i32(PER_CLASS), dim(g, kept[0], 0)], 'Minimum', T=I32)
                nms = g.add('NonMaxSuppressionV3', [kept[0], kept[1], most, g.f32(OVERLAP), g.f32(-3.4e38)], 'non_max_suppression/NonMaxSuppressionV3', T=F32, T_threshold=F32)
                kept = picked(g, kept, nms)
                label = g.add('Add', [g.add('ZerosLike', [kept[1]], 'zeros_like', T=F32), g.f32(k)], 'add', T=F32)
                found.append([*kept, label])
            with g.scope('Concatenate'):
                fields = [concat(g, 0, *[f[i] for f in found]) for i in range(3)]
            fields = sorted_by_score(g, fields)
            with g.scope('ClipToWindow'):
                u = g.add('Split', [g.i32(1), fields[0]], 'split', T=F32, num_split=4)
                sides = [g.add('Maximum', [g.add('Minimum', [u + (f':{i}' if i else ''), g.f32(1)], 'Minimum', T=F32), g.f32(0)], 'Maximum', T=F32) for i in range(4)]
                clipped = concat(g, 1, *sides)
                with g.scope('Area'):
                    u = g.add('Split', [g.i32(1), clipped], 'split', T=F32, num_split=4)
                    area = g.add('Mul', [g.add('Sub', [u + ':2', u], 'sub', T=F32), g.add('Sub', [u + ':3', u + ':1'], 'sub_1', T=F32)], 'mul', T=F32)
                    area = g.add('Squeeze', [area], 'Squeeze', T=F32, squeeze_dims=[1])
                fields = picked(g, [clipped, *fields[1:]], where_greater(g, area, 0))
            fields = sorted_by_score(g, fields)
            padded = [pad_or_clip(g, f, F32, 2 if i == 0 else 1) for i, f in enumerate(fields)]
            return [padded[0][0], padded[1][0], padded[2][0], padded[0][1]]
    with g.scope('Postprocessor'), g.scope('BatchMultiClassNonMaxSuppression'):
        return map_fn(g, [boxes, scores], [F32, F32], one_image, [F32, F32, F32, I32])


def ssd():
    c = Case('ssd')
    g, w = c.graph, ssd_weights()
    images = rng.integers(0, 256, (2, 20, 24, 3)).astype(np.uint8)
    image = c.feed('image_tensor', images, (-1, -1, -1, 3))
    v = g.add('Cast', [image], 'ToFloat', SrcT=U8, DstT=F32)

    def resize(read, _, outer):
        with g.scope('ResizeImage'):
            big = g.add('ExpandDims', [read[0], g.i32(0, 'resize_images/ExpandDims/dim')], 'resize_images/ExpandDims', T=F32, Tdim=I32)
            small = g.add('ResizeBilinear', [big, g.i32([SIDE, SIDE], 'resize_images/size')], 'resize_images/ResizeBilinear', T=F32, align_corners=False)
            return [g.add('Squeeze', [small], 'resize_images/Squeeze', T=F32, squeeze_dims=[0]), g.i32([SIDE, SIDE, 3], 'stack_1')]
    with g.scope('Preprocessor'):
        v, shapes = map_fn(g, [v], [F32], resize, [F32, I32])
        v = g.add('Sub', [g.add('Mul', [g.f32(2 / 255, 'mul/x'), v], 'mul', T=F32), g.f32(1, 'sub/y')], 'sub', T=F32)
    v = ssd_features(g, v, w)
    heads = [ssd_predict(g, v, w, 0, 1), ssd_predict(g, v, w, 1, 2)]
    encodings, logits = concat(g, 1, heads[0][0], heads[1][0]), concat(g, 1, heads[0][1], heads[1][1], at='concat_1')
    boxes = ssd_decode(g, encodings, ssd_anchors(g))
    with g.scope('Postprocessor'):
        scores = g.add('Sigmoid', [logits], 'convert_scores', T=F32)
        scores = g.add('Slice', [scores, g.i32([0, 0, 1]), g.i32([-1, -1, -1])], 'Slice', T=F32, Index=I32)
    out = ssd_suppress(g, boxes, scores)
    want = ssd_expected(images, w)
    names = ('detection_boxes', 'detection_scores', 'detection_classes', 'num_detections')
    last = [out[0], out[1], g.add('Add', [out[2], g.f32(1)], 'add', T=F32), g.add('Cast', [out[3]], 'ToFloat', SrcT=I32, DstT=F32)]
    for name, v, value in zip(names, last, want):
        c.outputs.append((g.add('Identity', [v], name, T=F32), value.astype(np.float32)))
    g.freeze(names)
    gaps = np.diff(-np.unique(np.sort(want[1].ravel())[::-1]))
    assert want[3].min() > 2 and np.abs(gaps).min() > 1e-5, (want[3], gaps)  # no order that rounding decides
    c.save()


# ------------------------------------------------------------------------------------------------------------ BERT

def bert():
    c = Case('bert')
    g = c.graph
    seq, hidden, heads, layers, vocabulary, batch = 6, 16, 2, 2, 30, 3
    size = hidden // heads
    ids = rng.integers(0, vocabulary, (batch, seq)).astype(np.int32)
    mask = np.array([[1] * 6, [1] * 4 + [0] * 2, [1] + [0] * 5], np.int32)
    segments = rng.integers(0, 2, (batch, seq)).astype(np.int32)
    a, m, s = (c.feed(n, v, (-1, seq)) for n, v in (('input_ids', ids), ('input_mask', mask), ('segment_ids', segments)))

    def layer_norm(v, gamma, beta):
        with g.scope('LayerNorm'):
            mean = g.add('Mean', [v, g.i32([-1])], 'moments/mean', T=F32, Tidx=I32, keep_dims=True)
            d = g.add('SquaredDifference', [v, g.add('StopGradient', [mean], 'moments/StopGradient', T=F32)], 'moments/SquaredDifference', T=F32)
            var = g.add('Mean', [d, g.i32([-1])], 'moments/variance', T=F32, Tidx=I32, keep_dims=True)
            r = g.add('Rsqrt', [g.add('Add', [var, g.f32(1e-12)], 'batchnorm/add', T=F32)], 'batchnorm/Rsqrt', T=F32)
            k = g.add('Mul', [r, g.f32(gamma, 'gamma')], 'batchnorm/mul', T=F32)
            less = g.add('Sub', [g.f32(beta, 'beta'), g.add('Mul', [mean, k], 'batchnorm/mul_2', T=F32)], 'batchnorm/sub', T=F32)
            return g.add('Add', [g.add('Mul', [v, k], 'batchnorm/mul_1', T=F32), less], 'batchnorm/add_1', T=F32)

    def np_norm(v, gamma, beta):
        return (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 1e-12) * gamma + beta

    def dense(v, k, b, name):
        with g.scope(name):
            return g.add('BiasAdd', [g.add('MatMul', [v, g.f32(k, 'kernel')], 'MatMul', T=F32, transpose_a=False, transpose_b=False), g.f32(b, 'bias')], 'BiasAdd', T=F32)
    table, types, positions = x(vocabulary, hidden), x(2, hidden), x(12, hidden)
    with g.scope('bert'), g.scope('embeddings'):
        n = dim(g, a, 0, I32)
        flat = reshape(g, g.add('ExpandDims', [a, g.i32([-1])], 'ExpandDims', T=I32, Tdim=I32), [-1], I32)
        v = reshape(g, gather(g, g.f32(table, 'word_embeddings'), flat), pack(g, n, g.i32(seq), g.i32(hidden)))
        hot = g.add('OneHot', [reshape(g, s, [-1], I32), g.i32(2), g.f32(1), g.f32(0)], 'one_hot', T=F32, TI=I32, axis=-1)
        t = reshape(g, g.add('MatMul', [hot, g.f32(types, 'token_type_embeddings')], 'MatMul', T=F32), pack(g, n, g.i32(seq), g.i32(hidden)))
        at = reshape(g, g.add('Slice', [g.f32(positions, 'position_embeddings'), g.i32([0, 0]), g.i32([seq, -1])], 'Slice', T=F32, Index=I32), [1, seq, hidden])
        gamma, beta = x(hidden), x(hidden)
        v = layer_norm(g.add('Add', [g.add('Add', [v, t], 'add', T=F32), at], 'add_1', T=F32), gamma, beta)
    w = np_norm(table[ids] + types[segments] + positions[:seq], gamma, beta)
    with g.scope('bert'), g.scope('encoder'):
        wide = g.add('Cast', [reshape(g, m, pack(g, n, g.i32(1), g.i32(seq)), I32)], 'Cast', SrcT=I32, DstT=F32)
        ones = g.add('Fill', [pack(g, n, g.i32(seq), g.i32(1)), g.f32(1)], 'ones', T=F32, index_type=I32)
        attend = g.add('ExpandDims', [g.add('Mul', [ones, wide], 'mul', T=F32), g.i32([1])], 'ExpandDims', T=F32, Tdim=I32)
        adder = g.add('Mul', [g.add('Sub', [g.f32(1), attend], 'sub', T=F32), g.f32(-10000)], 'mul_1', T=F32)
        v = reshape(g, v, [-1, hidden])
        for layer in range(layers):
            k = {name: (x(i, o) * np.float32(.4), x(o)) for name, i, o in (('query', hidden, hidden), ('key', hidden, hidden), ('value', hidden, hidden), ('out', hidden, hidden), ('inter', hidden, 32), ('back', 32, hidden))}
            norms = [x(hidden) for _ in range(4)]
            with g.scope(f'layer_{layer}'):
                def split(name):
                    return transpose(g, reshape(g, dense(v, *k[name], 'attention/self/' + name), pack(g, n, g.i32(seq), g.i32(heads), g.i32(size))), [0, 2, 1, 3])
                q, kk, vv = split('query'), split('key'), split('value')
                scores = g.add('Mul', [g.add('BatchMatMul', [q, kk], 'attention/self/MatMul', T=F32, adj_x=False, adj_y=True), g.f32(1 / np.sqrt(size))], 'attention/self/Mul', T=F32)
                p = g.add('Softmax', [g.add('Add', [scores, adder], 'attention/self/add', T=F32)], 'attention/self/Softmax', T=F32)
                y = transpose(g, g.add('BatchMatMul', [p, vv], 'attention/self/MatMul_1', T=F32, adj_x=False, adj_y=False), [0, 2, 1, 3])
                y = reshape(g, y, pack(g, g.add('Mul', [n, g.i32(seq)], 'mul', T=I32), g.i32(hidden)))
                v = layer_norm(g.add('Add', [dense(y, *k['out'], 'attention/output/dense'), v], 'attention/output/add', T=F32), norms[0], norms[1])
                h = dense(v, *k['inter'], 'intermediate/dense')
                cube = g.add('Mul', [g.f32(.044715), g.add('Pow', [h, g.f32(3)], 'Pow', T=F32)], 'mul', T=F32)
                th = g.add('Tanh', [g.add('Mul', [g.f32(np.sqrt(2 / np.pi)), g.add('Add', [h, cube], 'add', T=F32)], 'mul_1', T=F32)], 'Tanh', T=F32)
                h = g.add('Mul', [h, g.add('Mul', [g.f32(.5), g.add('Add', [g.f32(1), th], 'add_1', T=F32)], 'mul_2', T=F32)], 'mul_3', T=F32)
                v = layer_norm(g.add('Add', [dense(h, *k['back'], 'output/dense'), v], 'output/add', T=F32), norms[2], norms[3])
            np_split = lambda name: (w @ k[name][0] + k[name][1]).reshape(batch, seq, heads, size).transpose(0, 2, 1, 3)
            sc = np_split('query') @ np_split('key').transpose(0, 1, 3, 2) / np.sqrt(size) + (1 - mask[:, None, None, :]) * -10000.0
            e = np.exp(sc - sc.max(-1, keepdims=True))
            y = ((e / e.sum(-1, keepdims=True)) @ np_split('value')).transpose(0, 2, 1, 3).reshape(batch, seq, hidden)
            w = np_norm(y @ k['out'][0] + k['out'][1] + w, norms[0], norms[1])
            h = w @ k['inter'][0] + k['inter'][1]
            h = h * .5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + .044715 * h ** 3)))
            w = np_norm(h @ k['back'][0] + k['back'][1] + w, norms[2], norms[3])
        out = reshape(g, v, pack(g, n, g.i32(seq), g.i32(hidden)))
    c.want(out, w)
    with g.scope('bert'), g.scope('pooler'):
        first = slice_of(g, out, [0, 0, 0], [0, 1, 0], shrink=0, begin_mask=5, end_mask=5)
        kernel, bias = x(hidden, hidden), x(hidden)
        pooled = g.add('Tanh', [dense(g.add('Squeeze', [first], 'Squeeze', T=F32, squeeze_dims=[1]), kernel, bias, 'dense')], 'dense/Tanh', T=F32)
    c.want(pooled, np.tanh(w[:, 0] @ kernel + bias))
    c.save()


# ----------------------------------------------------------------------------------------- Keras' recurrent layers

def keras_lstm(masked):
    c = Case('keras_lstm_masked' if masked else 'keras_lstm')
    g = c.graph
    steps, batch, n_in, n = 5, 3, 4, 6
    seq = x(batch, steps, n_in)
    if masked:
        seq[1, 3:] = 0
        seq[2, [0, 2]] = 0
    kernel, recurrent, bias = x(n_in, 4 * n), x(n, 4 * n), x(4 * n)
    a = c.feed('serving_default_input_1', seq, (-1, -1, n_in))
    call = g.add('StatefulPartitionedCall', [a, g.f32(kernel), g.f32(recurrent), g.f32(bias)], 'StatefulPartitionedCall', f=Func('__inference_signature_wrapper'),
                 Tin=[F32] * 4, Tout=[F32, F32], config_proto='')
    arguments = [(k, 'float32') for k in ('input_1', 'kernel', 'recurrent', 'bias')]
    wrapper = Graph()
    wrapper.add('PartitionedCall', ['input_1', 'kernel', 'recurrent', 'bias'], 'lstm/PartitionedCall', f=Func('__inference_standard_lstm'), Tin=[F32] * 4, Tout=[F32, F32])
    wrapper.add('NoOp', ['^lstm/PartitionedCall'], 'NoOp')
    for i in (0, 1):
        wrapper.add('Identity', [f'lstm/PartitionedCall:output:{i}', '^NoOp'], 'Identity', T=F32)
    g.function('__inference_signature_wrapper', arguments, [('last', 'float32'), ('all', 'float32')], wrapper, ['Identity:output:0', 'Identity_1:output:0'], control=['NoOp'])
    f = Graph()
    f.add('Transpose', ['input_1', f.i32([1, 0, 2], 'transpose/perm') + ':output:0'], 'transpose', T=F32, Tperm=I32)
    f.add('Shape', ['transpose:y:0'], 'Shape', T=F32, out_type=I32)

    def entry(v, i, at):
        st = [f.i32([i], at + '/stack') + ':output:0', f.i32([i + 1], at + '/stack_1') + ':output:0', f.i32([1], at + '/stack_2') + ':output:0']
        f.add('StridedSlice', [v, *st], at, T=I32, Index=I32, begin_mask=0, end_mask=0, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=1)
        return at + ':output:0'
    time, rows = entry('Shape:output:0', 0, 'strided_slice'), entry('Shape:output:0', 1, 'strided_slice_1')
    f.add('Pack', [rows, f.i32(n, 'zeros/packed/1') + ':output:0'], 'zeros/packed', N=2, T=I32, axis=0)
    f.add('Fill', ['zeros/packed:output:0', f.f32(0, 'zeros/Const') + ':output:0'], 'zeros', T=F32, index_type=I32)
    f.add('TensorListReserve', [f.i32(-1, 'TensorArrayV2/element_shape') + ':output:0', time], 'TensorArrayV2', element_dtype=F32, shape_type=I32)
    f.add('TensorListFromTensor', ['transpose:y:0', f.i32([-1, n_in], 'TensorArrayUnstack/TensorListFromTensor/element_shape') + ':output:0'], 'TensorArrayUnstack/TensorListFromTensor', element_dtype=F32, shape_type=I32)
    state = [f.i32(0, 'time') + ':output:0', f.i32(0, 'while/loop_counter') + ':output:0', f.i32(-1, 'while/maximum_iterations') + ':output:0', 'TensorArrayV2:handle:0', 'zeros:output:0', 'zeros:output:0', time,
             'TensorArrayUnstack/TensorListFromTensor:output_handle:0', 'kernel', 'recurrent', 'bias']
    kinds = ['int32', 'int32', 'int32', 'variant', 'float32', 'float32', 'int32', 'variant', 'float32', 'float32', 'float32']
    names = ['time', 'counter', 'maximum', 'out', 'h', 'c', 'steps', 'in', 'k', 'r', 'b']
    if masked:
        f.add('NotEqual', ['input_1', f.f32(0, 'NotEqual/y') + ':output:0'], 'masking/NotEqual', T=F32)
        f.add('Any', ['masking/NotEqual:z:0', f.i32(-1, 'Any/axis') + ':output:0'], 'masking/Any', Tidx=I32, keep_dims=False)
        f.add('ExpandDims', ['masking/Any:output:0', f.i32(-1, 'ExpandDims/dim') + ':output:0'], 'ExpandDims', T=BOOL, Tdim=I32)
        f.add('Transpose', ['ExpandDims:output:0', f.i32([1, 0, 2], 'transpose_2/perm') + ':output:0'], 'transpose_2', T=BOOL, Tperm=I32)
        f.add('TensorListFromTensor', ['transpose_2:y:0', f.i32([-1, 1], 'TensorArrayUnstack_1/element_shape') + ':output:0'], 'TensorArrayUnstack_1', element_dtype=BOOL, shape_type=I32)
        f.add('ZerosLike', ['zeros:output:0'], 'zeros_like', T=F32)
        state += ['TensorArrayUnstack_1:output_handle:0', 'zeros_like:y:0']
        kinds += ['variant', 'float32']
        names += ['masks', 'before']
    types = [Type(k) for k in kinds]
    f.add('While', state, 'while', cond=Func('while_cond'), body=Func('while_body'), T=types, output_shapes=[Shape(())] * len(types), parallel_iterations=32)
    # Keras leaves the shapes of loop variables open where they change
    f.add('TensorListStack', ['while:output:3', f.i32([-1, n], 'TensorArrayV2Stack/TensorListStack/element_shape') + ':output:0'], 'TensorArrayV2Stack/TensorListStack', element_dtype=F32, num_elements=-1)
    st = [f.i32([-1], 's/stack') + ':output:0', f.i32([0], 's/stack_1') + ':output:0', f.i32([1], 's/stack_2') + ':output:0']
    f.add('StridedSlice', ['TensorArrayV2Stack/TensorListStack:tensor:0', *st], 'strided_slice_3', T=F32, Index=I32, begin_mask=0, end_mask=0, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=1)
    f.add('Transpose', ['TensorArrayV2Stack/TensorListStack:tensor:0', f.i32([1, 0, 2], 'transpose_1/perm') + ':output:0'], 'transpose_1', T=F32, Tperm=I32)
    g.function('__inference_standard_lstm', arguments, [('last', 'float32'), ('all', 'float32')], f, ['strided_slice_3:output:0', 'transpose_1:y:0'])
    test = Graph()
    test.add('Less', ['time', 'steps'], 'while/Less', T=I32)
    test.add('Identity', ['while/Less:z:0'], 'while/Identity', T=BOOL)
    g.function('while_cond', list(zip(names, kinds)), [('go', 'bool')], test, ['while/Identity:output:0'])
    body = Graph()
    b = lambda o, *i, at=None, **k: body.add(o, list(i), at, **k)
    b('TensorListGetItem', 'in', 'time', body.i32([-1, n_in], 'element_shape') + ':output:0', at='read', element_dtype=F32)
    b('MatMul', 'read:item:0', 'k', at='MatMul', T=F32)
    b('MatMul', 'h', 'r', at='MatMul_1', T=F32)
    b('AddV2', 'MatMul:product:0', 'MatMul_1:product:0', at='add', T=F32)
    b('BiasAdd', 'add:z:0', 'b', at='BiasAdd', T=F32)
    b('Split', body.i32(1, 'split/split_dim') + ':output:0', 'BiasAdd:output:0', at='split', T=F32, num_split=4)
    for i, name in ((0, 'Sigmoid'), (1, 'Sigmoid_1'), (3, 'Sigmoid_2')):
        b('Sigmoid', f'split:output:{i}', at=name, T=F32)
    b('Mul', 'Sigmoid_1:y:0', 'c', at='mul', T=F32)
    b('Tanh', 'split:output:2', at='Tanh', T=F32)
    b('Mul', 'Sigmoid:y:0', 'Tanh:y:0', at='mul_1', T=F32)
    b('AddV2', 'mul:z:0', 'mul_1:z:0', at='add_1', T=F32)
    b('Tanh', 'add_1:z:0', at='Tanh_1', T=F32)
    b('Mul', 'Sigmoid_2:y:0', 'Tanh_1:y:0', at='mul_2', T=F32)
    y, h, cs = 'mul_2:z:0', 'mul_2:z:0', 'add_1:z:0'
    if masked:
        b('TensorListGetItem', 'masks', 'time', body.i32([-1, 1], 'element_shape_1') + ':output:0', at='read_1', element_dtype=BOOL)
        b('Tile', 'read_1:item:0', body.i32([1, n], 'Tile/multiples') + ':output:0', at='Tile', T=BOOL, Tmultiples=I32)
        for at, new, old in (('SelectV2', y, 'before'), ('SelectV2_1', h, 'h'), ('SelectV2_2', cs, 'c')):
            b('SelectV2', 'Tile:output:0', new, old, at=at, T=F32)
        y, h, cs = 'SelectV2:output:0', 'SelectV2_1:output:0', 'SelectV2_2:output:0'
    b('TensorListSetItem', 'out', 'time', y, at='TensorArrayV2Write/TensorListSetItem', element_dtype=F32)
    for at, v in (('add_2', 'time'), ('add_3', 'counter')):
        b('AddV2', v, body.i32(1, at + '/y') + ':output:0', at=at, T=I32)
    returns = ['add_2:z:0', 'add_3:z:0', 'maximum', 'TensorArrayV2Write/TensorListSetItem:output_handle:0', h, cs, *names[6:]]
    if masked:
        returns[-1] = y
    g.function('while_body', list(zip(names, kinds)), [(k + '_out', t) for k, t in zip(names, kinds)], body, returns)
    h = cs = before = np.zeros((batch, n))
    every = []
    for t in range(steps):
        out = R.lstm_cell(seq[:, t], cs, h, np.concatenate([kernel, recurrent]), bias, forget=0, order='ifco')
        keep = (seq[:, t] != 0).any(-1, keepdims=True) if masked else np.ones((batch, 1), bool)
        h, cs, before = np.where(keep, out[6], h), np.where(keep, out[1], cs), np.where(keep, out[6], before)
        every.append(before)
    c.want(call, every[-1])
    c.want(call + ':1', np.stack(every, 1))
    c.save()


def lstm():
    keras_lstm(False)


def lstm_masked():
    keras_lstm(True)


MODELS = [ssd, bert, lstm, lstm_masked]
