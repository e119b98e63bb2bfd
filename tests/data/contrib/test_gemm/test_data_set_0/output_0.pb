
Boutput_0J(±_sÅliˆ0½i19ı‘¤(nxiu[MÃ¨<Evw…¤€ŠàZyŠ¿ÍG