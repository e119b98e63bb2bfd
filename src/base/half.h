/* half.h - conversions between float and the 16- and 8-bit floating-point formats, round to nearest even. */
#ifndef HN_HALF_H
#define HN_HALF_H
#include <stdint.h>
float hn_f16_to_f32(uint16_t h);
uint16_t hn_f32_to_f16(float f);
float hn_bf16_to_f32(uint16_t h);
uint16_t hn_f32_to_bf16(float f);
/* 8-bit formats of ONNX (exponent bits, mantissa bits, "FN": no infinities, "UZ": no negative zero). */
typedef enum hn_f8 { HN_F8_E4M3FN, HN_F8_E4M3FNUZ, HN_F8_E5M2, HN_F8_E5M2FNUZ } hn_f8;
float hn_f8_to_f32(hn_f8 kind, uint8_t b);
uint8_t hn_f32_to_f8(hn_f8 kind, float f, int saturate);
#endif
