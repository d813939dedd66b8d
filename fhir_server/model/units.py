"""The units that laboratories, wards and pharmacies use, as data for ``model/ucum.py``.

Two departures from UCUM are on purpose. The mole is a dimension of its own (UCUM makes it a number), so that an amount
of substance is never the same as a count of cells. Units that are arbitrary or logarithmic (``[IU]``, ``[pH]``)
are dimensions of their own too: they convert to nothing else.
Source: UCUM §§ 27-50 (ucum.org/ucum).
"""

from __future__ import annotations

PREFIXES = """
    Y 1e24   Z 1e21   E 1e18   P 1e15   T 1e12   G 1e9    M 1e6    k 1e3    h 1e2    da 1e1
    d 1e-1   c 1e-2   m 1e-3   u 1e-6   n 1e-9   p 1e-12  f 1e-15  a 1e-18  z 1e-21  y 1e-24
    Ki 1024  Mi 1048576  Gi 1073741824  Ti 1099511627776
"""
"""Prefix and factor, by turns."""

BASES = """
    m s g K C cd rad mol bit [iU] [IR] Np B
"""
"""Base units that take prefixes. Np and B are logarithmic, [iU] is arbitrary."""

ARBITRARY = """
    [pH] [arb'U] [USP'U] [GPL'U] [MPL'U] [APL'U] [beth'U] [anti'Xa'U] [todd'U] [dye'U] [smgy'U] [bdsk'U] [ka'U]
    [knk'U] [mclg'U] [tb'U] [CCID_50] [TCID_50] [EID_50] [PFU] [FFU] [CFU] [BAU] [AU] [Amb'a'1'U] [PNU] [Lf]
    [D'ag'U] [FEU] [ELU] [EU] [hp_X] [hp_C] [hp_M] [hp_Q] [kp_X] [kp_C] [kp_M] [kp_Q] [p'diop] bit_s
"""
"""Units of a procedure or a scale: neither a prefix nor a conversion."""

DERIVED = """
    10*        -  10           1
    10^        -  10           1
    [pi]       -  3.1415926535897932384626433832795028841971693993751058209749445923  1
    %          -  1            10*-2
    [ppth]     -  1            10*-3
    [ppm]      -  1            10*-6
    [ppb]      -  1            10*-9
    [pptr]     -  1            10*-12
    [HPF]      -  1            1
    [LPF]      -  100          1
    [hnsf'U]   -  1            1

    L          p  1            dm3
    l          p  1            dm3
    st         p  1            m3
    ar         p  100          m2
    [drp]      -  1            mL/20

    min        -  60           s
    h          -  60           min
    d          -  24           h
    wk         -  7            d
    a_t        -  365.24219    d
    a_j        -  365.25       d
    a_g        -  365.2425     d
    a          -  1            a_j
    mo_s       -  29.53059     d
    mo_j       -  1            a_j/12
    mo_g       -  1            a_g/12
    mo         -  1            mo_j

    sr         p  1            rad2
    deg        -  2            [pi].rad/360
    '          -  1            deg/60
    ''         -  1            '/60
    gon        -  0.9          deg
    circ       -  2            [pi].rad
    sph        -  4            [pi].sr

    Hz         p  1            s-1
    N          p  1            kg.m/s2
    Pa         p  1            N/m2
    J          p  1            N.m
    W          p  1            J/s
    A          p  1            C/s
    V          p  1            J/C
    F          p  1            C/V
    Ohm        p  1            V/A
    S          p  1            Ohm-1
    mho        p  1            S
    Wb         p  1            V.s
    T          p  1            Wb/m2
    H          p  1            Wb/A
    lm         p  1            cd.sr
    lx         p  1            lm/m2
    Bq         p  1            s-1
    Gy         p  1            J/kg
    Sv         p  1            J/kg
    Bd         p  1            /s
    By         p  8            bit

    t          p  1000         kg
    u          p  1.6605402e-24  g
    bar        p  100000       Pa
    atm        -  101325       Pa
    [e]        p  1.60217733e-19  C
    eV         p  1            [e].V
    Ao         -  0.1          nm
    b          -  100          fm2
    [g]        p  9.80665      m/s2
    [c]        p  299792458    m/s
    gf         p  1            g.[g]
    [lbf_av]   -  1            [lb_av].[g]
    [psi]      -  1            [lbf_av]/[in_i]2
    att        -  1            kgf/cm2
    dyn        p  1            g.cm/s2
    erg        p  1            dyn.cm
    P          p  1            dyn.s/cm2
    St         p  1            cm2/s
    G          p  0.0001       T
    Ci         p  37000000000  Bq
    R          p  0.000258     C/kg
    RAD        p  100          erg/g
    REM        p  1            RAD

    cal_th     p  4.184        J
    cal_IT     p  4.1868       J
    cal        p  1            cal_th
    [Cal]      -  1            kcal_th
    [degR]     -  5            K/9

    m[H2O]     p  9.80665      kPa
    m[Hg]      p  133.322      kPa
    [in_i'H2O] -  1            m[H2O].[in_i]/m
    [in_i'Hg]  -  1            m[Hg].[in_i]/m
    [PRU]      -  1            mm[Hg].s/mL
    [wood'U]   -  1            mm[Hg].min/L
    [diop]     -  1            /m
    [Ch]       -  1            mm/3
    [MET]      -  3.5          mL/min/kg
    [mesh_i]   -  1            /[in_i]

    eq         p  1            mol
    osm        p  1            mol
    g%         p  1            g/dL
    kat        p  1            mol/s
    U          p  1            umol/min
    [IU]       p  1            [iU]
    [S]        -  1            10*-13.s

    [in_i]     -  2.54         cm
    [ft_i]     -  12           [in_i]
    [yd_i]     -  3            [ft_i]
    [mi_i]     -  5280         [ft_i]
    [fth_i]    -  6            [ft_i]
    [nmi_i]    -  1852         m
    [kn_i]     -  1            [nmi_i]/h
    [mil_i]    -  0.001        [in_i]
    [hd_i]     -  4            [in_i]
    [sin_i]    -  1            [in_i]2
    [sft_i]    -  1            [ft_i]2
    [syd_i]    -  1            [yd_i]2
    [cin_i]    -  1            [in_i]3
    [cft_i]    -  1            [ft_i]3
    [cyd_i]    -  1            [yd_i]3
    [ft_us]    -  1200         m/3937
    [in_us]    -  1            [ft_us]/12
    [yd_us]    -  3            [ft_us]

    [gal_us]   -  231          [in_i]3
    [qt_us]    -  1            [gal_us]/4
    [pt_us]    -  1            [qt_us]/2
    [gil_us]   -  1            [pt_us]/4
    [foz_us]   -  1            [gil_us]/4
    [tbs_us]   -  1            [foz_us]/2
    [tsp_us]   -  1            [tbs_us]/3
    [cup_us]   -  16           [tbs_us]
    [foz_m]    -  30           mL
    [cup_m]    -  240          mL
    [tbs_m]    -  15           mL
    [tsp_m]    -  5            mL
    [gal_br]   -  4.54609      L
    [qt_br]    -  1            [gal_br]/4
    [pt_br]    -  1            [qt_br]/2
    [gil_br]   -  1            [pt_br]/4
    [foz_br]   -  1            [gil_br]/5

    [gr]       -  64.79891     mg
    [lb_av]    -  7000         [gr]
    [oz_av]    -  1            [lb_av]/16
    [dr_av]    -  1            [oz_av]/16
    [stone_av] -  14           [lb_av]
    [scwt_av]  -  100          [lb_av]
    [lcwt_av]  -  112          [lb_av]
    [ston_av]  -  20           [scwt_av]
    [lton_av]  -  20           [lcwt_av]
    [pwt_tr]   -  24           [gr]
    [oz_tr]    -  20           [pwt_tr]
    [lb_tr]    -  12           [oz_tr]
    [sc_ap]    -  20           [gr]
    [dr_ap]    -  3            [sc_ap]
    [oz_ap]    -  8            [dr_ap]
    [lb_ap]    -  12           [oz_ap]
    [oz_m]     -  28           g
    [car_m]    -  0.2          g
"""
"""Code, ``p`` when it takes prefixes, number and unit that it is: ``[lb_av]`` is 7000 ``[gr]``."""

AFFINE = """
    Cel        p  1  1  273.15
    [degF]     -  5  9  459.67
    [degRe]    -  5  4  218.52
"""
"""Temperatures whose zero is not absolute zero: ``kelvin = (value + offset) * numerator / denominator``."""

COMMON = """
    kg g mg ug ng pg fg t [lb_av] [oz_av] [gr] [stone_av]
    km m dm cm mm um nm [in_i] [ft_i] [yd_i] [mi_i]
    m2 dm2 cm2 mm2 [in_i]2 [ft_i]2 [sin_i] [sft_i]
    L l dL dl cL cl mL ml uL ul nL nl pL pl fL fl m3 dm3 cm3 mm3 um3 [foz_us] [cup_us] [tsp_us] [tbs_us] [drp]
    mol mmol umol nmol pmol fmol eq meq ueq osm mosm
    a mo wk d h min s ms us ns
    % 1 10* [ppth] [ppm] [ppb] 10*3 10*6 10*9 10*12 10^3 10^6 10^9 10^12
    g/g mg/g ug/g ng/g mg/mg ug/mg g/kg mg/kg ug/kg ng/kg kg/kg g/(100.g) mg/(100.g) pg/mg L/L mL/L
    mol/mol mmol/mol umol/mol mL/mL mL/dL mL/(100.mL) /100 /(100) /[HPF] /[LPF]
    mol/kg mmol/kg umol/kg nmol/kg umol/g nmol/g mmol/g nmol/mg pmol/mg umol/mg osm/kg mosm/kg meq/kg meq/g
    kg/L kg/l kg/m3 g/m3 mg/m3 ug/m3 g/L g/l g/dL g/dl g/mL g/ml g/cm3 g% g/(100.mL) mg/L mg/l mg/dL mg/dl
    mg/mL mg/ml mg/uL mg% mg/(100.mL) ug/L ug/l ug/dL ug/dl ug/mL ug/ml ug/uL ug/(100.mL) ng/L ng/l
    ng/dL ng/dl ng/mL ng/ml ng/uL pg/L pg/l pg/dL pg/dl pg/mL pg/ml fg/mL fg/ml
    mol/L mol/l mol/m3 mmol/m3 mol/mL mmol/L mmol/l mmol/dL mmol/dl mmol/mL mmol/ml umol/L umol/l umol/dL umol/dl
    umol/mL umol/ml nmol/L nmol/l nmol/dL nmol/dl nmol/mL nmol/ml pmol/L pmol/l pmol/dL pmol/dl pmol/mL pmol/ml
    fmol/L fmol/l fmol/mL fmol/ml eq/L eq/l meq/L meq/l meq/dL meq/mL ueq/L ueq/mL osm/L osm/l mosm/L mosm/l
    kat ukat nkat mkat U mU kU uU mol/s umol/min nmol/min mmol/h mmol/d mmol/(24.h) umol/d umol/(24.h) umol/h
    nmol/d nmol/(24.h) nmol/s meq/d meq/(24.h) meq/h mol/d pmol/min
    kat/L kat/l mkat/L ukat/L ukat/l nkat/L nkat/l nkat/mL U/L U/l U/dL U/dl U/mL U/ml U/uL mU/L mU/l mU/mL mU/ml
    kU/L kU/l kU/mL uU/L uU/mL uU/ml umol/L/min umol/min/L nmol/min/mL nmol/mL/min mmol/L/s
    U/g U/kg mU/g mU/mg mU/kg kU/g U/mg ukat/kg nkat/kg nmol/min/mg nmol/mg/h nmol/h/mg
    [IU] [iU] m[IU] m[iU] u[IU] k[IU] k[iU]
    [IU]/L [IU]/l [iU]/L [iU]/l [IU]/dL [iU]/dL [IU]/mL [IU]/ml [iU]/mL [iU]/ml m[IU]/L m[IU]/l m[iU]/L m[iU]/l
    m[IU]/mL m[IU]/ml m[iU]/mL m[iU]/ml u[IU]/L u[iU]/L u[IU]/mL u[IU]/ml u[iU]/mL u[iU]/ml k[IU]/L k[iU]/L
    k[IU]/mL k[iU]/mL
    [IU]/kg [iU]/kg [IU]/g [iU]/g [IU]/mg [iU]/mg [IU]/h [iU]/h [IU]/d [iU]/d [IU]/kg/h [iU]/kg/h
    /L /l /dL /mL /ml /uL /ul /nL /pL /mm3 /cm3 /m3 10*3/L 10*6/L 10*6/l 10*9/L 10*9/l 10*12/L 10*12/l 10*3/mL
    10*4/mL 10*5/mL 10*6/mL 10*6/ml 10*2/uL 10*3/uL 10*3/ul 10*4/uL 10*6/uL 10*6/ul 10*3/mm3 10*6/mm3 10*8/L
    10*10/L 10*11/L 10*4/L 10*5/L 10^3/L 10^6/L 10^9/L 10^9/l 10^12/L 10^12/l 10^3/uL 10^3/ul 10^4/uL 10^6/uL
    10^6/ul 10^3/mL 10^6/mL 10^5/mL
    Pa hPa kPa MPa mm[Hg] cm[Hg] cm[H2O] mm[H2O] bar mbar atm [psi] [in_i'Hg] [in_i'H2O]
    kg/m2 g/m2 mg/m2 ug/m2 g/cm2 mg/cm2 [lb_av]/[in_i]2
    /s /min /h /d Hz kHz MHz Bq kBq MBq GBq Ci mCi uCi
    m/s cm/s mm/s mm/h mm/min km/h m/min cm/min
    L/s L/min L/h mL/s mL/min mL/h mL/d mL/(24.h) L/d L/(24.h) dL/min m3/s
    mL/kg/min mL/kg/h mL/kg/d mL/min/kg L/kg/h mL/kg L/kg
    L/min/m2 mL/min/m2 mL/min/{1.73_m2}
    g/d g/(24.h) mg/d mg/(24.h) ug/d ug/(24.h) kg/d ng/d mg/h ug/h g/h mg/min ug/min ng/min ng/h mg/wk kg/wk
    g/kg/d mg/kg/d ug/kg/d mg/kg/h ug/kg/h mg/kg/min ug/kg/min ng/kg/min mg/kg/(24.h) g/kg/h
    deg rad ' ''
    J kJ mJ cal kcal [Cal] eV keV
    kcal/d kcal/(24.h) kJ/d kcal/h kJ/h W kW mW
    kcal/kg/d kcal/kg/h
    V mV uV kV
    A mA uA nA
    Ohm kOhm MOhm
    C mC uC
    N mN kgf gf
    T mT uT
    Gy cGy mGy uGy Sv mSv uSv RAD REM
    P cP mPa.s Pa.s
    dyn.s/cm5 dyn.s.cm-5 [wood'U] [PRU] mm[Hg].min/L mm[Hg].s/mL
    dyn.s/cm5/m2 dyn.s.cm-5/m2
    Np
    B dB
    lx klx
    K mK
    By kBy MBy GBy bit
"""
"""Units that data and searches are likely to hold; the possible ones are without number."""
