#!/usr/bin/python3
"""Makes tests/keras/h5: HDF5 files with all the forms that are read, and one of forms that are not. Run it in this folder; the result is
committed, and test_h5.c knows what is in them."""
import os

import h5py
import numpy as np


def forms(path, **how):
    with h5py.File(path, 'w', **how) as f:
        g = f.create_group('g')
        deep = g.create_group('sub/deep')
        f.attrs['text'] = 'hello wörld'
        f.attrs['fixed'] = np.array([b'one', b'three'])
        f.attrs['list'] = ['x', '', 'yy']
        f.attrs['spread0'], f.attrs['spread1'] = ['p', 'q'], ['r']
        f.attrs['number'] = 3
        x = np.arange(60).reshape(3, 4, 5)
        for kind in ('f2', 'f4', '>f8', 'i1', '>i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8'):
            g[kind] = x.astype(kind)
        g['bool'] = x % 2 == 1
        g['scalar'] = np.float32(2.5)
        g['none'] = np.zeros((0, 3), 'f4')
        g.create_dataset('nowhere', shape=(4,), dtype='f4')
        g.create_dataset('chunks', data=x.astype('f4'), chunks=(2, 3, 5))
        g.create_dataset('packed', data=x.astype('f4'), chunks=(2, 3, 4), compression='gzip', shuffle=True, fletcher32=True)
        g.create_dataset('summed', data=x.astype('i2'), chunks=(3, 4, 5), fletcher32=True)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        d = h5py.h5d.create(g.id, b'compact', h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((3, 4, 5)), properties)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, x.astype('f4'))
        for i in range(40):  # more than a node of names holds
            deep[f'w{i}'] = np.int32(i)
        f['soft'] = h5py.SoftLink('/g/f4')


if __name__ == '__main__':
    os.makedirs('h5', exist_ok=True)
    forms('h5/earliest.h5', userblock_size=512)
    with h5py.File('h5/latest.h5', 'w', libver='latest') as f:  # headers and links of version 2, few of each
        f.attrs['text'] = 'hello wörld'
        f.create_group('g')['f4'] = np.arange(60, dtype='f4').reshape(3, 4, 5)
        for i in range(20):  # and many
            f[f'many/w{i}'] = np.int32(i)
