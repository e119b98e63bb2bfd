Binput_0J
OõA‡áùš¯