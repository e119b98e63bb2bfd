
G
imagePlaceholder*
dtype0*$
shape:ˇˇˇˇˇˇˇˇˇ	
è
ExtractImagePatchesExtractImagePatchesimage*
T0*
ksizes

*
paddingSAME*
rates

*
strides


-
outIdentityExtractImagePatches*
T0
í
ExtractImagePatches_1ExtractImagePatchesimage*
T0*
ksizes

*
paddingVALID*
rates

*
strides


1
out_1IdentityExtractImagePatches_1*
T0
ë
ExtractImagePatches_2ExtractImagePatchesimage*
T0*
ksizes

*
paddingSAME*
rates

*
strides


1
out_2IdentityExtractImagePatches_2*
T0
í
ExtractImagePatches_3ExtractImagePatchesimage*
T0*
ksizes

*
paddingVALID*
rates

*
strides


1
out_3IdentityExtractImagePatches_3*
T0
ë
ExtractImagePatches_4ExtractImagePatchesimage*
T0*
ksizes

*
paddingSAME*
rates

*
strides


1
out_4IdentityExtractImagePatches_4*
T0
í
ExtractImagePatches_5ExtractImagePatchesimage*
T0*
ksizes

*
paddingVALID*
rates

*
strides


1
out_5IdentityExtractImagePatches_5*
T0"ø