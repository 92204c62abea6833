"""Which kinds of files are opened.

Others that libav knows would be text drawn as video, single pictures, capture devices, or playlists, which name
further files and addresses to open.
"""

# In libav's words.
VIDEO_CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,mxf,nut,ivf,h264,hevc,obu,m4v,"
    "mp3,aac,flac,wav,aiff"  # sound only, named so that the message can say so
)
AUDIO_CONTAINERS = VIDEO_CONTAINERS + (
    ",ac3,eac3,amr,ape,au,caf,dsf,dts,dtshd,gsm,loas,mpc,mpc8,qcp,rm,tak,truehd,tta,voc,w64,wtv,wv,xwma"
)


def options_for(containers: str) -> dict[str, str]:
    """What `av.open` takes as `container_options` to open these only."""
    return {"format_whitelist": containers, "protocol_whitelist": "file"}
