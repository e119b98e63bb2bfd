#!/usr/bin/python3
"""qoperator.py IN.onnx OUT.onnx: a model with QuantizeLinear and DequantizeLinear around its layers, as hone writes it, in ONNX
Runtime's other form: QLinearConv, QLinearMatMul and its own QLinear operators, bounds left to the saturation of 8 bits.
Needs the onnx package (Debian: python3-onnx)."""
import sys

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError:
    print('skipped: no onnx package')
    sys.exit(3)

model = onnx.load(sys.argv[1])
g = model.graph
MS = 'com.microsoft'
made = {o: n for n in g.node for o in n.output}
users = {}
for n in g.node:
    for i in n.input:
        users.setdefault(i, []).append(n)
outputs = {o.name for o in g.output}
constants = {i.name: i for i in g.initializer}
new, gone, transposed = {}, set(), {}


def quantized(name):
    """(integers, scale, zero point) that a value was dequantized from."""
    n = made.get(name)
    if n is None or n.op_type != 'DequantizeLinear':
        return None
    return list(n.input[:2]) + [n.input[2] if len(n.input) > 2 else zero_of(n.input[1])]


def zero_of(scale):
    name = scale + '_no_zero'
    if name not in constants:
        shape = list(constants[scale].dims)
        constants[name] = helper.make_tensor(name, onnx.TensorProto.INT8, shape, [0] * (shape[0] if shape else 1))
        g.initializer.append(constants[name])
    return name


def only_user(name):
    u = users.get(name, [])
    return u[0] if len(u) == 1 and name not in outputs else None


def quantizer(n, bounds):
    """The QuantizeLinear behind a node, past bounds that saturation does as well, and what lies between."""
    between, u = [], only_user(n.output[0])
    if bounds and u is not None and u.op_type == 'QuantizeLinear': # bounds that have a conversion to themselves
        back = only_user(u.output[0])
        f = only_user(back.output[0]) if back is not None and back.op_type == 'DequantizeLinear' else None
        if f is not None and f.op_type in ('Relu', 'Clip'):
            between, u = [u, back], f
    if bounds and u is not None and u.op_type in ('Relu', 'Clip'):
        between, u = between + [u], only_user(u.output[0])
    return (u, between) if u is not None and u.op_type == 'QuantizeLinear' else (None, [])


def turned(name):
    """Weights of a Gemm with transB as a MatMul has them."""
    if name not in transposed:
        t = numpy_helper.from_array(numpy_helper.to_array(constants[name]).T.copy(), name + '_turned')
        g.initializer.append(t)
        transposed[name] = t.name
    return transposed[name]


def bias_of(name):
    n = made.get(name)
    return n.input[0] if n is not None and n.op_type == 'DequantizeLinear' and n.input[0] in constants else None


def rewrite(n):
    data = list(n.input) if n.op_type == 'Concat' else list(n.input[:2 if n.op_type in ('Conv', 'MatMul', 'Gemm', 'Add', 'Mul') else 1])
    q = [quantized(i) for i in data]
    out, between = quantizer(n, n.op_type in ('Conv', 'Add'))
    if any(x is None for x in q) or (out is None and n.op_type != 'Gemm'):
        return None
    to, end = ([out.input[1], out.input[2]], [out.output[0]]) if out is not None else ([], list(n.output)) # QGemm gives floats, too
    attributes = {a.name: helper.get_attribute_value(a) for a in n.attribute}
    if n.op_type == 'Conv':
        bias = [bias_of(n.input[2])] if len(n.input) > 2 else []
        if None in bias:
            return None
        made_node = helper.make_node('QLinearConv', q[0] + q[1] + to + bias, end, n.name, **attributes)
    elif n.op_type == 'Gemm':
        w = [turned(q[1][0])] + q[1][1:] if attributes.get('transB') else q[1]
        bias = [bias_of(n.input[2])] if len(n.input) > 2 else ['']
        if None in bias:
            return None
        made_node = helper.make_node('QGemm', q[0] + w + bias + to, end, n.name, domain=MS)
    elif n.op_type == 'MatMul':
        made_node = helper.make_node('QLinearMatMul', q[0] + q[1] + to, end, n.name)
    elif n.op_type in ('Add', 'Mul'):
        made_node = helper.make_node('QLinear' + n.op_type, q[0] + q[1] + to, end, n.name, domain=MS)
    elif n.op_type == 'Sigmoid':
        made_node = helper.make_node('QLinearSigmoid', q[0] + to, end, n.name, domain=MS)
    elif n.op_type == 'GlobalAveragePool':
        made_node = helper.make_node('QLinearGlobalAveragePool', q[0] + to, end, n.name, domain=MS, channels_last=0)
    elif n.op_type == 'Concat':
        made_node = helper.make_node('QLinearConcat', to + [i for x in q for i in x], end, n.name, domain=MS, **attributes)
    elif n.op_type == 'MaxPool' and len(n.output) == 1:
        made_node = helper.make_node('MaxPool', [q[0][0]], end, n.name, **attributes)
    else:
        return None
    gone.update([id(out) if out is not None else None] + [id(b) for b in between])
    return made_node


for n in g.node:
    r = rewrite(n)
    if r is not None:
        new[id(n)] = r
nodes = [new.get(id(n), n) for n in g.node if id(n) not in gone]
while True: # what nobody reads any more
    read = {i for n in nodes for i in n.input} | outputs
    kept = [n for n in nodes if any(o in read for o in n.output)]
    if len(kept) == len(nodes):
        break
    nodes = kept
del g.node[:]
g.node.extend(nodes)
if not any(o.domain == MS for o in model.opset_import):
    model.opset_import.append(helper.make_opsetid(MS, 1))
onnx.save(model, sys.argv[2])
print(len(new), 'layers')
