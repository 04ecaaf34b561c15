"""The defined terms of Modality (0008,0060), PS3.3 C.7.3.1.1.1, retired ones too.

Nothing else is kept beside an object: a device that writes a name into this attribute must not bring it into the
journal. A modality that is newer than this list is kept as empty; routes look at the data set itself.
"""

MODALITIES = frozenset(
    """
    ANN AR AS ASMT AU BDUS BI BMD CD CF CFM CP CR CS CT CTPROTOCOL DD DF DG DM DMS DOC DS DX EC ECG EEG EMG EOG
    EPS ES FA FID FS GM HC HD IO IOL IVOCT IVUS KER KO LEN LP LS M3D MA MG MR MS NM OAM OCT OP OPM OPR OPT
    OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD
    RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF ST STAIN TEXTUREMAP TG TH US VA VF XA XAPROTOCOL XC
    """.split()  # noqa: SIM905 - a hundred quoted strings read worse
)
