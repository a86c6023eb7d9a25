package threats

import "testing"

// One test for each line of the leak catalogue that can be played in the lab
// with the data plane alone.

func TestT1(t *testing.T)  { threat(t, "T1") }
func TestT2(t *testing.T)  { threat(t, "T2") }
func TestT3(t *testing.T)  { threat(t, "T3") }
func TestT4(t *testing.T)  { threat(t, "T4") }
func TestT5(t *testing.T)  { threat(t, "T5") }
func TestT6(t *testing.T)  { threat(t, "T6") }
func TestT8(t *testing.T)  { threat(t, "T8") }
func TestT9(t *testing.T)  { threat(t, "T9") }
func TestT10(t *testing.T) { threat(t, "T10") }
func TestT11(t *testing.T) { threat(t, "T11") }
func TestT13(t *testing.T) { threat(t, "T13") }
func TestT14(t *testing.T) { threat(t, "T14") }
func TestT15(t *testing.T) { threat(t, "T15") }
func TestT16(t *testing.T) { threat(t, "T16") }
func TestT17(t *testing.T) { threat(t, "T17") }
func TestT18(t *testing.T) { threat(t, "T18") }
func TestT19(t *testing.T) { threat(t, "T19") }

func TestD1(t *testing.T) { threat(t, "D1") }
func TestD2(t *testing.T) { threat(t, "D2") }
func TestD3(t *testing.T) { threat(t, "D3") }
func TestD4(t *testing.T) { threat(t, "D4") }
func TestD5(t *testing.T) { threat(t, "D5") }
func TestD6(t *testing.T) { threat(t, "D6") }
func TestD7(t *testing.T) { threat(t, "D7") }

func TestC3(t *testing.T) { threat(t, "C3") }

func TestV1(t *testing.T) { threat(t, "V1") }
func TestV2(t *testing.T) { threat(t, "V2") }
func TestV3(t *testing.T) { threat(t, "V3") }
func TestW1(t *testing.T) { threat(t, "W1") }
