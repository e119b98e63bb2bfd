Boutput_0JHþ&Â$lÂöÝn¿xm—>“Â\8Â7~¯ÂLó6B
B¶”-BG…RÂYX·A±Í;ÂêXÎÂVþxÂ®+¦B¸‘QÂ|pYÁ